// Where stems are decoded: in a worker if it has WebCodecs, else in the page, which loads what it
// needs for that.

// Decodes one song at a time. `onEvent(event)` gets what StemSet reports of the current one.
export class Decoding {
  constructor(onEvent) {
    this._onEvent = onEvent;
    this._song = 0;
    this._stems = null; // a promise of a StemSet, if it is in the page
    this._worker = typeof AudioDecoder === "function" ? this._startWorker() : null;
  }

  open(links) {
    this._song += 1;
    if (this._worker) return this._call("open", links);
    const song = this._song;
    this._call("close");
    this._stems = import("./stem-set.js").then(({ StemSet }) => new StemSet(links, (event) => {
      if (song === this._song) this._onEvent(event);
    }));
  }

  request(name, run, first, end) {
    this._call("request", name, run, first, end);
  }

  extend(name, end) {
    this._call("extend", name, end);
  }

  replace(links) {
    this._call("replace", links);
  }

  fail(message) {
    this._call("fail", message);
  }

  close() {
    this._call("close");
    this._song += 1;
    this._worker?.terminate();
  }

  _call(method, ...values) {
    if (this._worker) this._worker.postMessage({ song: this._song, method, values });
    else this._stems?.then((stems) => stems[method](...values));
  }

  _startWorker() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: { song, event } }) => {
      if (song === this._song) this._onEvent(event);
    };
    return worker;
  }
}
