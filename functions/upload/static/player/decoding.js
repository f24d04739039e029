// Where stems are decoded: in a worker if it has WebCodecs, else in the page, which loads what it
// needs for that.

const hasWorker = typeof AudioDecoder === "function";

// Decodes one song at a time. `onEvent(event)` gets what StemSet reports of the current one.
export class Decoding {
  constructor(onEvent) {
    this._onEvent = onEvent;
    this._song = 0;
    this._links = null; // of the song
    this._hasFailed = false; // what decodes could not be loaded
    this._stems = null; // a promise of a StemSet, if it is in the page
    this._worker = null;
    if (hasWorker) this._startWorker();
  }

  open(links) {
    if (this._stems) this._call("close"); // the worker closes it by itself
    this._song += 1;
    this._links = links;
    this._open();
  }

  request(name, run, first, end) {
    if (this._hasFailed) this._open(); // try again
    this._call("request", name, run, first, end);
  }

  extend(name, end) {
    this._call("extend", name, end);
  }

  replace(links) {
    this._links = links;
    this._call("replace", links);
  }

  fail(message) {
    this._call("fail", message);
  }

  close() {
    this._call("close");
    this._song += 1;
    this._worker?.terminate();
    this._worker = null;
  }

  _open() {
    this._hasFailed = false;
    if (hasWorker) {
      if (!this._worker) this._startWorker();
      return this._call("open", this._links);
    }
    const song = this._song;
    this._stems = import("./stem-set.js").then(({ StemSet }) => new StemSet(this._links, (event) => {
      if (song === this._song) this._onEvent(event);
    }));
    this._stems.catch(() => { if (song === this._song) this._onFailure(); });
  }

  _call(method, ...values) {
    if (this._worker) this._worker.postMessage({ song: this._song, method, values });
    else this._stems?.then((stems) => stems[method](...values), () => {}); // _open reports it
  }

  // Nothing can be decoded. Every stem reports it, and the next request tries again.
  _onFailure() {
    this._worker?.terminate();
    this._worker = this._stems = null;
    this._hasFailed = true;
    for (const name of Object.keys(this._links ?? {})) {
      this._onEvent({ kind: "problem", name, message: "A part of this page could not be loaded. Press Play again." });
    }
  }

  _startWorker() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    let hasStarted = false;
    worker.onmessage = ({ data: { song, event } }) => {
      hasStarted = true;
      if (song === this._song) this._onEvent(event);
    };
    worker.onerror = () => {
      if (!hasStarted && worker === this._worker) this._onFailure();
    };
    this._worker = worker;
  }
}
