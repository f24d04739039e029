// The decoded blocks of a song, and the requests for those that are needed next. A block holds all
// stems in one AudioBuffer, two channels each, so that they cannot come apart.

import { BLOCK_SAMPLES } from "./block-size.js";

const MAX_BYTES = 64 * 1024 * 1024;
const NEAR_BLOCKS = 4; // to decode on to there is faster than a new start

export class Blocks {
  // `decoding` produces blocks; `names` are those of the stems, in the order of the channels.
  constructor(decoding, names) {
    this.limit = Math.floor(MAX_BYTES / (BLOCK_SAMPLES * 4 * 2 * names.length));
    this._decoding = decoding;
    this._names = names;
    this._rate = 0;
    this._buffers = new Map(); // by block number, least recently used first
    this._incomplete = new Map(); // by block number: channels by name
    this._runs = new Map(); // by name: what is being decoded, {number, next, end}
    this._failed = new Set();
    this._lastRun = 0;
  }

  get failed() {
    return this._failed;
  }

  setRate(rate) {
    this._rate = rate;
  }

  // Return the AudioBuffer of this block, or undefined if a stem of it is not decoded yet.
  get(index) {
    const buffer = this._buffers.get(index);
    if (buffer) {
      this._buffers.delete(index);
      this._buffers.set(index, buffer);
    }
    return buffer;
  }

  // Ask for the blocks with these numbers, in this order.
  require(indexes) {
    for (const name of this._names) {
      if (this._failed.has(name)) continue;
      const isMissing = (index) =>
        !this._buffers.has(index) && !this._incomplete.get(index)?.has(name);
      const at = indexes.findIndex(isMissing);
      if (at < 0) continue;
      const first = indexes[at];
      let end = first + 1;
      for (let next = at + 1; indexes[next] === end && isMissing(end); next++) end += 1;
      const run = this._runs.get(name);
      const isOnItsWay = run && run.next <= first && first <= Math.min(run.end, run.next + NEAR_BLOCKS);
      if (!isOnItsWay) this._start(name, first, end);
      else if (end > run.end) this._extend(name, run, end);
    }
    for (const index of indexes) this.get(index); // used: kept longer than others
  }

  // Take a block of one stem.
  add({ name, run, index, channels }) {
    const current = this._runs.get(name);
    if (current?.number === run) current.next = index + 1;
    if (this._buffers.has(index)) return;
    if (!this._incomplete.has(index)) this._incomplete.set(index, new Map());
    this._incomplete.get(index).set(name, channels);
    this._complete(index);
    trim(this._incomplete, this.limit);
  }

  // The stem has no more blocks in this run.
  end({ name, run }) {
    if (this._runs.get(name)?.number === run) this._runs.delete(name);
  }

  // Do without this stem.
  drop(name) {
    this._runs.delete(name);
    this._failed.add(name);
    for (const index of [...this._incomplete.keys()]) this._complete(index);
  }

  // Try stems again that have failed.
  retry() {
    if (!this._failed.size) return;
    this._failed.clear();
    this._buffers.clear();
  }

  _start(name, first, end) {
    const number = ++this._lastRun;
    this._runs.set(name, { number, next: first, end });
    this._decoding.request(name, number, first, end);
  }

  _extend(name, run, end) {
    run.end = end;
    this._decoding.extend(name, end);
  }

  _complete(index) {
    const stems = this._incomplete.get(index);
    const isReady = this._names.every((name) => stems.has(name) || this._failed.has(name));
    if (!isReady || !this._rate) return;
    this._incomplete.delete(index);
    const buffer = new AudioBuffer({
      length: BLOCK_SAMPLES, numberOfChannels: this._names.length * 2, sampleRate: this._rate,
    });
    this._names.forEach((name, number) => {
      stems.get(name)?.forEach((samples, side) => buffer.copyToChannel(samples, number * 2 + side));
    });
    this._buffers.set(index, buffer);
    trim(this._buffers, this.limit);
  }
}

// Remove the oldest entries of a Map.
function trim(map, limit) {
  for (const key of map.keys()) {
    if (map.size <= limit) return;
    map.delete(key);
  }
}
