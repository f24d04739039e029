// MP3 of a constant bit rate: where its frames are, and which samples they hold.
// ISO/IEC 11172-3 and 13818-3; the Info frame: gabriel.mp3-tech.org/mp3infotag.html

import { ByteCursor } from "./byte-source.js";

const KBITS_1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBITS_2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const RATES = [44100, 48000, 32000];
const DECODER_DELAY = 529; // samples, of every decoder
const RESERVOIR_BYTES = 511; // how far back the bits of a frame may begin (main_data_begin)
const OVERHEAD_BYTES = 38; // header, checksum and side information: not in the reservoir
const PADDING_SLACK = 8; // bytes

export class Mp3 {
  codec = "mp3";
  description = undefined;

  // Read the layout; the cursor is at the beginning of the file.
  static async read(cursor, source) {
    await skipTag(cursor);
    if (!(await cursor.fill(4))) throw new Error("The MP3 file is empty");
    const first = readHeader(cursor.buffer, 0);
    if (!first) throw new Error("This is not an MP3 file");
    await cursor.fill(first.size);
    const info = readInfo(cursor.buffer, first);
    if (info) {
      cursor.take(first.size);
      await cursor.fill(4);
    }
    const header = (info && readHeader(cursor.buffer, 0)) || first;
    return new Mp3(header, info, cursor.offset, source.link.isGrowing ? null : source.size);
  }

  constructor(header, info, start, bytes) {
    this.rate = header.rate;
    this.channels = header.channels;
    this.frameSamples = header.samples;
    this.delay = (info ? info.delay : 0) + DECODER_DELAY;
    this._start = start;
    this._kind = header.kind;
    this._frameBytes = (header.samples / 8 / header.rate) * header.kbits * 1000;
    const reservoir = Math.ceil(RESERVOIR_BYTES / Math.max(1, this._frameBytes - OVERHEAD_BYTES));
    this.preroll = 2 + reservoir; // frames; two for the overlap of the filters
    if (info?.frames) this.total = info.frames * header.samples - info.delay - info.padding;
    else this.total = bytes ? this.samplesIn(bytes) : null;
  }

  // Return how many samples the first `bytes` of the file hold.
  samplesIn(bytes) {
    const frames = Math.floor((bytes - this._start) / this._frameBytes);
    return Math.max(0, frames * this.frameSamples - this.delay);
  }

  // Yield frames, from so early on that all samples from `sample` on can be decoded.
  async *frames(source, sample, signal) {
    const index = Math.floor((sample + this.delay) / this.frameSamples) - this.preroll;
    const estimate = Math.floor(index * this._frameBytes) - PADDING_SLACK;
    const cursor = new ByteCursor(source, this._start + Math.max(0, estimate), signal);
    try {
      let isAligned = estimate <= 0;
      for (;;) {
        if (!(await cursor.fill(4))) return;
        let header = this._header(cursor.buffer, 0);
        if (!header || !isAligned) {
          if (!(await this._findFrame(cursor))) return;
          header = this._header(cursor.buffer, 0);
          isAligned = true;
        }
        const number = Math.round((cursor.offset - this._start) / this._frameBytes);
        if (!(await cursor.fill(header.size))) return; // the file is cut here
        const position = number * this.frameSamples - this.delay;
        yield { position, data: cursor.take(header.size) };
      }
    } finally {
      cursor.close();
    }
  }

  // Move to the next frame: a header that another one follows, or the file's end.
  async _findFrame(cursor) {
    for (;;) {
      const header = this._header(cursor.buffer, 0);
      if (header) {
        const isLast = !(await cursor.fill(header.size + 4));
        if (isLast ? cursor.buffer.length >= header.size : this._header(cursor.buffer, header.size)) {
          return true;
        }
      }
      if (!(await cursor.fill(5))) return false;
      cursor.take(1);
    }
  }

  _header(bytes, offset) {
    const header = readHeader(bytes, offset);
    return header?.kind === this._kind ? header : null;
  }
}

// Skip an ID3v2 tag (id3.org, version 2.4, section 3.1).
async function skipTag(cursor) {
  if (!(await cursor.fill(10))) return;
  const [i, d, three, , , flags, ...size] = cursor.buffer.subarray(0, 10);
  if (i !== 0x49 || d !== 0x44 || three !== 0x33) return;
  const footer = flags & 0x10 ? 10 : 0;
  await cursor.skip(10 + footer + size.reduce((sum, byte) => sum * 128 + byte, 0));
}

// Return what the four bytes at `offset` say of a frame, or null if they are no header.
function readHeader(bytes, offset) {
  if (bytes.length < offset + 4) return null;
  const [sync, second, third, fourth] = bytes.subarray(offset, offset + 4);
  const version = (second >> 3) & 3; // 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
  const isLayer3 = sync === 0xff && (second & 0xe0) === 0xe0 && ((second >> 1) & 3) === 1;
  if (!isLayer3 || version === 1 || ((third >> 2) & 3) === 3) return null;
  const kbits = (version === 3 ? KBITS_1 : KBITS_2)[third >> 4];
  if (!kbits) return null;
  const rate = RATES[(third >> 2) & 3] >> { 3: 0, 2: 1, 0: 2 }[version];
  const samples = version === 3 ? 1152 : 576;
  const size = Math.floor(((samples / 8) * kbits * 1000) / rate) + ((third >> 1) & 1);
  const channels = fourth >> 6 === 3 ? 1 : 2;
  const kind = (version << 16) | (third & 0xfc); // the same for all frames of a file
  const sideInformation = version === 3 ? [17, 32][channels - 1] : [9, 17][channels - 1];
  return { kind, rate, kbits, samples, size, channels, sideInformation };
}

// Return {frames, delay, padding} if the frame at the beginning of `bytes` is an Info frame.
function readInfo(bytes, header) {
  const at = 4 + header.sideInformation;
  if (bytes.length < at + 120) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const name = String.fromCharCode(...bytes.subarray(at, at + 4));
  if (name !== "Info" && name !== "Xing") return null;
  const flags = view.getUint32(4);
  let next = 8;
  const frames = flags & 1 ? view.getUint32(next) : 0;
  for (const [flag, length] of [[1, 4], [2, 4], [4, 100], [8, 4]]) if (flags & flag) next += length;
  const hasDelays = view.byteLength >= next + 24 && view.getUint8(next) !== 0;
  const delays = hasDelays ? (view.getUint8(next + 21) << 16) | view.getUint16(next + 22) : 0;
  return { frames, delay: delays >> 12, padding: delays & 0xfff };
}
