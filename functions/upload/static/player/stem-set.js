// All stems of one song, as blocks. It runs in a worker, or in the page if it cannot decode there.

import { GrowthStart } from "./byte-source.js";
import { bestDecoder } from "./decoders.js";
import { StemReader } from "./stem-reader.js";

const MEASURE_MS = 2000;

export class StemSet {
  // `report(event)` gets the events of StemReader, with the stem's name, and
  // {kind: "expired", name}, which `replace` or `fail` must answer.
  constructor(links, report) {
    this._report = report;
    this._createDecoder = bestDecoder();
    this._growthStart = new GrowthStart();
    this._readers = new Map();
    this._renewals = new Map();
    this._abort = new AbortController();
    for (const [name, link] of Object.entries(links)) this._readers.set(name, this._reader(name, link));
    this._timer = setInterval(() => this._measure(), MEASURE_MS);
  }

  request(name, run, first, end) {
    this._readers.get(name)?.request(run, first, end);
  }

  extend(name, end) {
    this._readers.get(name)?.extend(end);
  }

  // The stems are at these addresses now.
  replace(links) {
    for (const [name, link] of Object.entries(links)) {
      const renewal = this._renewals.get(name);
      this._renewals.delete(name);
      if (renewal) renewal.resolve(link);
      else this._readers.get(name)?.replace(link);
    }
  }

  // There is no other address for stems whose links have expired.
  fail(message) {
    for (const renewal of this._renewals.values()) renewal.reject(new Error(message));
    this._renewals.clear();
  }

  close() {
    clearInterval(this._timer);
    this._abort.abort();
    for (const reader of this._readers.values()) reader.stop();
    this.fail("closed");
  }

  _reader(name, link) {
    const renew = () => {
      const renewal = Promise.withResolvers();
      this._renewals.set(name, renewal);
      this._report({ kind: "expired", name });
      return renewal.promise;
    };
    const report = (event) => this._report({ ...event, name });
    return new StemReader(link, renew, this._growthStart, this._createDecoder, report);
  }

  // All stems grow together: one request measures them.
  async _measure() {
    const [reader] = this._readers.values();
    await reader?.measure(this._abort.signal).catch(() => {});
  }
}
