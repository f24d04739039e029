// FLAC: where its frames are, and which samples they hold (RFC 9639).

import { ByteCursor } from "./byte-source.js";

const STREAMINFO_BYTES = 34;
const MIN_FRAME_BYTES = 10;
const MAX_HEADER_BYTES = 16;
const BROKEN = Symbol("no frame");
const PROBE_BYTES = 128 * 1024; // usually enough for the first block
const NEAR_S = 1; // seconds: reading on from there is faster than another request
const MAX_REQUESTS = 8;

export class Flac {
  codec = "flac";
  delay = 0;
  preroll = 0;

  // Read the layout; the cursor is at the beginning of the file.
  static async read(cursor) {
    await cursor.fill(4 + 4 + STREAMINFO_BYTES);
    const description = cursor.buffer.slice(0, 4 + 4 + STREAMINFO_BYTES);
    description[4] |= 0x80; // as if it were the last block before the frames
    cursor.take(4);
    for (let isLast = false; !isLast; ) {
      if (!(await cursor.fill(4))) throw new Error("The FLAC file has no frames");
      const [kind, ...size] = cursor.take(4);
      isLast = kind >= 0x80;
      await cursor.skip(size.reduce((sum, byte) => sum * 256 + byte, 0));
    }
    return new Flac(description, cursor.offset);
  }

  constructor(description, start) {
    const fields = new DataView(description.buffer, 8);
    const packed = fields.getUint32(10);
    this.description = description;
    this.rate = packed >>> 12;
    this.channels = ((packed >>> 9) & 7) + 1;
    this._blockSize = fields.getUint16(0);
    this.total = (packed % 16) * 2 ** 32 + fields.getUint32(14) || null;
    const bits = ((packed >>> 4) & 31) + 1;
    this._maxFrameBytes = Math.ceil((this._blockSize * this.channels * (bits + 1)) / 8) + 256;
    this._known = [{ sample: 0, offset: start }]; // frames that have been seen, in order
  }

  // How many samples there are in the first `bytes` cannot be said; null.
  samplesIn() {
    return null;
  }

  // Yield frames, from the one that holds `sample` on.
  async *frames(source, sample, signal) {
    const cursor = await this._open(source, sample, signal);
    try {
      let header = await this._findFrame(cursor);
      while (header) {
        this._remember({ sample: header.position, offset: cursor.offset }, this.rate);
        const next = await this._findNext(cursor, header);
        if (next === BROKEN) {
          cursor.take(1);
          header = await this._findFrame(cursor);
          continue;
        }
        const data = cursor.take(next ? next.at : cursor.buffer.length);
        if (header.position + header.samples > sample) yield { position: header.position, data };
        header = next;
      }
    } finally {
      cursor.close();
    }
  }

  // Return a cursor at a frame at or before `sample`: FLAC has no formula for its offset.
  async _open(source, sample, signal) {
    let cursor = null;
    try {
      for (let requests = 0; requests < MAX_REQUESTS; requests++) {
        const guess = this._estimate(source, sample, requests);
        if (guess === this._knownBefore(sample).offset) break;
        cursor?.close();
        cursor = new ByteCursor(source, guess, signal, PROBE_BYTES);
        const header = await this._findFrame(cursor);
        if (!header) break;
        this._remember({ sample: header.position, offset: cursor.offset }, 1);
      }
    } catch (error) {
      cursor?.close();
      throw error;
    }
    const { offset } = this._knownBefore(sample);
    if (cursor?.offset === offset) return cursor; // which has its first bytes
    cursor?.close();
    return new ByteCursor(source, offset, signal);
  }

  // Move the cursor to the first frame at or after it, and return its header; null at the end.
  async _findFrame(cursor) {
    while (await cursor.fill(MIN_FRAME_BYTES)) {
      const header = this._readHeader(cursor.buffer, 0);
      // A second one in the right distance: the first is no coincidence.
      if (header && (await this._findNext(cursor, header)) !== BROKEN) return header;
      const next = cursor.buffer.indexOf(0xff, 1);
      cursor.take(next < 0 ? cursor.buffer.length : next);
    }
    return null;
  }

  // Return the header after the frame at the cursor, with `at`: its place in the buffer; null if
  // that frame is the last one; BROKEN if it is none.
  async _findNext(cursor, header) {
    for (let at = MIN_FRAME_BYTES; at < this._maxFrameBytes; at++) {
      const isInside = at + MAX_HEADER_BYTES <= cursor.buffer.length
        || (await cursor.fill(at + MAX_HEADER_BYTES));
      if (!isInside && at + MIN_FRAME_BYTES > cursor.buffer.length) return null;
      const next = this._readHeader(cursor.buffer, at);
      if (next?.position === header.position + header.samples) return { ...next, at };
    }
    return BROKEN;
  }

  // Return {position, samples} of the frame header at `at`, or null (RFC 9639, section 9.1).
  _readHeader(bytes, at) {
    if (bytes[at] !== 0xff || (bytes[at + 1] & 0xfe) !== 0xf8) return null;
    const sizeCode = bytes[at + 2] >> 4;
    const rateCode = bytes[at + 2] & 15;
    if (sizeCode === 0 || rateCode === 15 || bytes[at + 3] & 1) return null;
    let next = at + 4;
    const lead = bytes[next++];
    const following = lead < 0x80 ? 0 : Math.clz32(~(lead << 24)) - 1;
    if (following < 0 || following > 6 || (lead >= 0x80 && following === 0)) return null;
    let number = following ? lead & (0x3f >> following) : lead;
    for (let n = 0; n < following; n++) {
      if ((bytes[next] & 0xc0) !== 0x80) return null;
      number = number * 64 + (bytes[next++] & 0x3f);
    }
    let samples = sizeCode === 1 ? 192 : sizeCode < 6 ? 144 << sizeCode : 1 << sizeCode;
    if (sizeCode === 6) samples = bytes[next++] + 1;
    if (sizeCode === 7) samples = bytes[next++] * 256 + bytes[next++] + 1;
    if (rateCode === 12) next += 1;
    else if (rateCode > 12) next += 2;
    if (next >= bytes.length || crc8(bytes, at, next) !== bytes[next]) return null;
    const isVariable = bytes[at + 1] & 1;
    return { position: isVariable ? number : number * this._blockSize, samples };
  }

  // Return where to look for a frame somewhat before `sample`, between frames that are known.
  _estimate(source, sample, requests) {
    const before = this._knownBefore(sample);
    const end = this.total && source.size ? { sample: this.total, offset: source.size } : null;
    const after = this._known.find((frame) => frame.sample > sample) ?? end;
    if (!after || sample - before.sample < NEAR_S * this.rate) return before.offset;
    const margin = this.rate * (0.3 + requests / 2);
    const share = Math.max(0, sample - margin - before.sample) / (after.sample - before.sample);
    return Math.floor(before.offset + share * (after.offset - before.offset));
  }

  _knownBefore(sample) {
    return this._known.findLast((frame) => frame.sample <= sample);
  }

  // Keep a frame, unless one is known that is less than `distance` samples away.
  _remember(frame, distance) {
    const index = this._known.findLastIndex((known) => known.sample <= frame.sample);
    const isNear = (known) => known && Math.abs(known.sample - frame.sample) < distance;
    if (isNear(this._known[index]) || isNear(this._known[index + 1])) return;
    this._known.splice(index + 1, 0, frame);
  }
}

function crc8(bytes, from, to) {
  let crc = 0;
  for (let at = from; at < to; at++) {
    crc ^= bytes[at];
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
  }
  return crc;
}
