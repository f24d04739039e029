// WAV: integers of 16 or 24 bits, or floats of 32 (Microsoft, Multimedia Data Standards 1991).

import { ByteCursor } from "./byte-source.js";

const FRAME = 4096; // samples that are passed on together
const FLOATS = 3;
const EXTENSIBLE = 0xfffe;

export class Wav {
  codec = null; // its samples need no decoder
  delay = 0;
  preroll = 0;

  // Read the layout; the cursor is at the beginning of the file.
  static async read(cursor) {
    await cursor.skip(12);
    let format = null;
    for (;;) {
      if (!(await cursor.fill(8))) throw new Error("The WAV file has no samples");
      const name = String.fromCharCode(...cursor.buffer.subarray(0, 4));
      const size = view(cursor.buffer).getUint32(4, true);
      cursor.take(8);
      if (name === "data") return new Wav(format, cursor.offset, size);
      if (name === "fmt " && (await cursor.fill(size))) format = readFormat(view(cursor.buffer));
      await cursor.skip(size + (size % 2));
    }
  }

  constructor({ rate, channels, bits, isFloat }, start, size) {
    this.rate = rate;
    this.channels = channels;
    this._width = (channels * bits) / 8;
    this._bits = bits;
    this._isFloat = isFloat;
    this._start = start;
    this.total = Math.floor(size / this._width);
  }

  samplesIn(bytes) {
    return Math.max(0, Math.min(this.total, Math.floor((bytes - this._start) / this._width)));
  }

  async *frames(source, sample, signal) {
    const cursor = new ByteCursor(source, this._start + sample * this._width, signal);
    try {
      for (let position = sample; position < this.total; ) {
        const count = Math.min(FRAME, this.total - position);
        const isComplete = await cursor.fill(count * this._width);
        const whole = isComplete ? count : Math.floor(cursor.buffer.length / this._width);
        yield { position, data: cursor.take(whole * this._width) };
        if (!isComplete) return; // the file is cut here
        position += count;
      }
    } finally {
      cursor.close();
    }
  }

  // Return the samples of a frame, one Float32Array per channel.
  samplesOf({ data }) {
    const count = data.length / this._width;
    const channels = Array.from({ length: this.channels }, () => new Float32Array(count));
    const values = view(data);
    const bytes = this._bits / 8;
    for (let index = 0, at = 0; index < count; index++) {
      for (const channel of channels) {
        channel[index] = this._value(values, at);
        at += bytes;
      }
    }
    return channels;
  }

  _value(values, at) {
    if (this._isFloat) return values.getFloat32(at, true);
    if (this._bits === 16) return values.getInt16(at, true) / 0x8000;
    return (values.getInt8(at + 2) * 0x10000 + values.getUint16(at, true)) / 0x800000;
  }
}

function readFormat(fields) {
  const tag = fields.getUint16(0, true);
  const format = {
    channels: fields.getUint16(2, true),
    rate: fields.getUint32(4, true),
    bits: fields.getUint16(14, true),
    isFloat: (tag === EXTENSIBLE ? fields.getUint16(24, true) : tag) === FLOATS,
  };
  const isKnown = format.isFloat ? format.bits === 32 : [16, 24].includes(format.bits);
  if (!isKnown) throw new Error(`WAV files of ${format.bits} bits cannot be played here`);
  return format;
}

function view(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
