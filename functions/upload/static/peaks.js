// The peaks of a song's stems (docs/events.md, "peaks.bin"), which waveforms are drawn from, and how.

import { authorization } from "./api.js";

const VALUES = 3; // min, max, rms
const MAX_GAIN = 4; // how much a quiet song is drawn larger
const RETRY_MS = 1000; // after a request that failed; twice as long after each further one
const MAX_RETRY_MS = 16000;

export class Peaks {
  stems = [];
  total = 0; // columns of the whole song; 0 if not known
  rate = 25; // columns per second
  stop = 0; // how many columns are known
  isFinished = false; // the stems are, so that all columns exist
  isFinal = false; // all columns are here
  gain = 1;
  #isUpdating = false;
  #isAskedAgain = false; // since the last request began
  #isClosed = false;
  #columns = new Int8Array(0);

  // `onChange()` is called when more peaks are known.
  constructor(jobId, onChange = () => {}) {
    this.jobId = jobId;
    this.onChange = onChange;
  }

  get seconds() {
    return this.total / this.rate;
  }

  // Fetch what is new, or everything once the stems are finished. Nobody asks again after that, so
  // it is repeated until it has worked.
  async update(isFinished) {
    this.isFinished ||= isFinished;
    this.#isAskedAgain = true;
    if (this.#isUpdating || this.isFinal) return;
    this.#isUpdating = true;
    let wait = RETRY_MS;
    while (!this.#isClosed) {
      this.#isAskedAgain = false;
      const isWhole = this.isFinished;
      const status = await this.#fetch(isWhole ? 0 : this.stop);
      if (this.isFinal || (isWhole && isRefusal(status))) break;
      if (!isWhole) {
        if (this.#isAskedAgain) continue;
        break;
      }
      await new Promise((resolve) => { setTimeout(resolve, wait); });
      wait = Math.min(2 * wait, MAX_RETRY_MS);
    }
    this.#isUpdating = false;
  }

  // Fetch no more.
  close() {
    this.#isClosed = true;
  }

  // Fetch the columns from `start` on, and return the status of the response; 0 if there is none.
  async #fetch(start) {
    try {
      const headers = authorization();
      const response = await fetch(`/apiv1/jobs/${this.jobId}/peaks?from=${start}`, { headers });
      if (response.ok) this.#read(new Int8Array(await response.arrayBuffer()));
      return response.status;
    } catch {
      return 0; // or it broke off
    }
  }

  #read(bytes) {
    const end = bytes.indexOf(10);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
    this.#take(header, bytes.subarray(end + 1));
    if (!this.#isClosed) this.onChange();
  }

  #take(header, columns) {
    if (header.stems.length === 0) return;
    const width = header.stems.length * VALUES;
    this.stems = header.stems;
    this.rate = header.rate;
    this.isFinal = header.final;
    const stop = header.start + columns.length / width;
    this.total = Math.max(header.total, stop);
    if (this.#columns.length < this.total * width) {
      const larger = new Int8Array(this.total * width);
      larger.set(this.#columns);
      this.#columns = larger;
    }
    this.#columns.set(columns, header.start * width);
    this.stop = stop;
    let loudest = 1;
    for (const value of this.#columns) loudest = Math.max(loudest, Math.abs(value));
    this.gain = Math.min(MAX_GAIN, 127 / loudest);
  }

  // Draw the waveform of one stem over the whole canvas; a line of dots where none is known.
  draw(canvas, stem, color) {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (width === 0) return;
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const index = this.stems.indexOf(stem);
    const middle = height / 2;
    const known = index < 0 || this.total === 0 ? 0 : Math.floor((this.stop / this.total) * width);
    context.fillStyle = color;
    const bar = Math.max(1, Math.round(ratio));
    for (let x = 0; x < known; x += bar) {
      const [low, high, rms] = this.#range(index, x / width, (x + bar) / width);
      context.globalAlpha = 0.5;
      const top = middle - high * this.gain * middle;
      context.fillRect(x, top, bar, Math.max(ratio, (high - low) * this.gain * middle));
      context.globalAlpha = 1;
      const core = rms * this.gain * middle;
      context.fillRect(x, middle - core, bar, Math.max(ratio, 2 * core));
    }
    context.globalAlpha = 0.45;
    for (let x = known + 4 * ratio; x < width; x += 8 * ratio) {
      context.fillRect(x, middle - ratio, 2 * ratio, 2 * ratio);
    }
  }

  // Return min, max and rms, -1 to 1, between two shares of the song.
  #range(index, from, to) {
    const width = this.stems.length * VALUES;
    const first = Math.floor(from * this.total);
    const last = Math.min(this.stop, Math.max(first + 1, Math.floor(to * this.total)));
    let low = 0;
    let high = 0;
    let squares = 0;
    for (let column = first; column < last; column += 1) {
      const at = column * width + index * VALUES;
      low = Math.min(low, this.#columns[at]);
      high = Math.max(high, this.#columns[at + 1]);
      squares += this.#columns[at + 2] ** 2;
    }
    return [low / 127, high / 127, Math.sqrt(squares / Math.max(1, last - first)) / 127];
  }
}

// Whether it would be refused again.
const isRefusal = (status) => status >= 400 && status < 500 && status !== 429;
