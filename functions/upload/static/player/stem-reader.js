// One stem as blocks of samples: reads its bytes, decodes them, and cuts the samples at fixed
// places, so that the blocks of all stems are of the same moments, to the sample.

import { BLOCK_SAMPLES } from "./block-size.js";
import { ByteSource } from "./byte-source.js";
import { readFormat } from "./formats.js";

const CHANNELS = 2;
const SLACK_SAMPLES = 8192; // that are decoded beyond what is requested: a decoder may hold some

export class StemReader {
  // `report(event)` gets {kind: "format", rate, total}, {kind: "available", samples},
  // {kind: "block", run, index, channels}, {kind: "end", run, total}, and
  // {kind: "problem", run, message}.
  constructor(link, renew, growthStart, createDecoder, report) {
    this._source = new ByteSource(link, renew, growthStart);
    this._createDecoder = createDecoder;
    this._report = report;
    this._format = null;
    this._run = null;
  }

  // Produce the blocks from number `first` to before number `end`. The events of blocks name `run`.
  request(run, first, end) {
    this._run?.stop();
    this._run = new Run(this, run, first, end);
    this._run.start();
  }

  // Go on to before block `end`, without a new start of the decoder.
  extend(end) {
    this._run?.extend(end);
  }

  // Read from another link from now on, because the stem has been finished.
  replace(link) {
    this._format = null; // a finished file may have been encoded again
    this._source.replace(link);
    if (this._run?.isActive) this.request(this._run.number, this._run.next, this._run.end);
  }

  // Find out how many samples a growing stem has by now.
  async measure(signal) {
    if (!this._format || !this._source.link.isGrowing) return;
    await this._source.measure(signal);
    this._reportAvailable();
  }

  stop() {
    this._run?.stop();
  }

  async _openFormat(signal) {
    if (!this._format) {
      this._format = await readFormat(this._source, signal);
      this._report({ kind: "format", rate: this._format.rate, total: this._format.total });
    }
    this._reportAvailable();
    return this._format;
  }

  _reportAvailable() {
    const samples = this._source.link.isGrowing && this._source.size !== null
      ? this._format.samplesIn(this._source.size) : null;
    if (samples !== null) this._report({ kind: "available", samples });
  }
}

// The decoding of consecutive blocks.
class Run {
  constructor(reader, number, first, end) {
    this.number = number;
    this.next = first; // the block that is being filled
    this.end = end;
    this.isActive = true;
    this._reader = reader;
    this._abort = new AbortController();
    this._filled = first * BLOCK_SAMPLES; // up to which sample there are samples
    this._channels = emptyBlock();
    this._extended = Promise.withResolvers();
    this._decoder = null;
    this._total = null;
  }

  extend(end) {
    this.end = Math.max(this.end, end);
    this._extended.resolve();
    this._extended = Promise.withResolvers();
  }

  stop() {
    this.isActive = false;
    this._abort.abort();
    this._decoder?.close();
  }

  async start() {
    const { signal } = this._abort;
    try {
      await this._decode(signal);
    } catch (error) {
      this._fail(error);
    }
  }

  _fail(error) {
    if (!this.isActive) return;
    this.stop();
    this._reader._report({ kind: "problem", run: this.number, message: error.message });
  }

  async _decode(signal) {
    const format = await this._reader._openFormat(signal);
    this._total = format.total;
    this._decoder = this._reader._createDecoder(
      format,
      (position, channels) => this.isActive && this._append(position, channels),
      (error) => this._fail(error),
    );
    for await (const frame of format.frames(this._reader._source, this._filled, signal)) {
      while (frame.position >= this.end * BLOCK_SAMPLES + SLACK_SAMPLES) {
        const extended = this._extended.promise;
        await this._decoder.settle();
        await extended;
        signal.throwIfAborted();
      }
      await this._decoder.decode(frame);
      signal.throwIfAborted();
      if (this._isComplete()) break;
    }
    await this._decoder.finish();
    if (!this.isActive) return;
    this._post(); // the last block is not full: silence follows
    this._reader._report({ kind: "end", run: this.number, total: this._total ?? this._filled });
    this.stop();
  }

  _isComplete() {
    return this._total !== null && this._filled >= this._total;
  }

  // Copy samples into blocks; those before the first block only made the decoder ready.
  _append(position, channels) {
    const stop = Math.min(position + channels[0].length, this._total ?? Infinity);
    this._filled = Math.max(this._filled, position); // samples that are missing are silence
    while (this.next < Math.floor(this._filled / BLOCK_SAMPLES)) this._post();
    while (this._filled < stop) {
      const start = this.next * BLOCK_SAMPLES;
      const count = Math.min(stop, start + BLOCK_SAMPLES) - this._filled;
      const from = this._filled - position;
      for (let index = 0; index < CHANNELS; index++) {
        const samples = channels[Math.min(index, channels.length - 1)];
        this._channels[index].set(samples.subarray(from, from + count), this._filled - start);
      }
      this._filled += count;
      if (this._filled === start + BLOCK_SAMPLES) this._post();
    }
  }

  _post() {
    this._reader._report({
      kind: "block", run: this.number, index: this.next, channels: this._channels,
    });
    this.next += 1;
    this._channels = emptyBlock();
  }
}

function emptyBlock() {
  return Array.from({ length: CHANNELS }, () => new Float32Array(BLOCK_SAMPLES));
}
