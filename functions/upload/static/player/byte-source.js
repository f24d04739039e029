// The bytes of one stem, read by Range requests (RFC 9110, section 14). A stem that is still being
// separated grows: a request for bytes that it does not have yet is repeated until it has them.

const FIRST_BYTES = 256 * 1024; // of a sequence of requests: little, so that a seek is fast
const MAX_BYTES = 512 * 1024;
const GROWTH_CHECK_MS = 500;
const FIRST_CHECK_MS = 100; // before the first bytes, for which somebody may wait
const MAX_BREAKS = 5; // of responses, one after the other
const RETRY_MS = [300, 1000, 2000];
const EXPIRED = new Set([401, 403]);

// Which of the growing stems asks for its first bytes. The others ask as soon as it has some.
export class GrowthStart {
  constructor() {
    this._asking = null;
    this._next = Promise.withResolvers();
  }

  // Return whether this source asks, because no other one does.
  isAskedBy(source) {
    this._asking ??= source;
    return this._asking === source;
  }

  // Return a promise that the source that asks has got bytes, or has stopped asking.
  get next() {
    return this._next.promise;
  }

  // This source does not ask any more.
  end(source) {
    if (this._asking !== source) return;
    this._asking = null;
    this._next.resolve();
    this._next = Promise.withResolvers();
  }
}

export class ByteSource {
  // `link` is {url, isGrowing, bytes, headers}. `renew()` returns another link, or throws, if the
  // store refuses this one. All stems of a song share one GrowthStart.
  constructor(link, renew, growthStart) {
    this._renew = renew;
    this._growthStart = growthStart;
    this._changed = Promise.withResolvers();
    this.replace(link);
  }

  // Read from another address from now on. Requests that wait for growth end at once.
  replace(link) {
    this.link = link;
    this.size = link.isGrowing ? 0 : link.bytes ?? null; // so far, if it grows; null if unknown
    this._changed.resolve();
    this._changed = Promise.withResolvers();
  }

  // Return a reader of at most `length` bytes from `offset` on, or null if the stem ends there.
  async open(offset, length, signal) {
    try {
      return await this._open(offset, length, signal);
    } finally {
      this._growthStart.end(this);
    }
  }

  async _open(offset, length, signal) {
    let failures = 0;
    for (;;) {
      const { link } = this;
      if (!link.isGrowing && this.size !== null && offset >= this.size) return null;
      const last = offset + length - 1;
      const response = await this._request(link, offset, last, signal).catch(() => null);
      signal.throwIfAborted();
      if (link !== this.link) continue; // replaced meanwhile
      if (response?.ok) return this._body(response, offset);
      if (response?.status === 416 && !link.isGrowing) return null;
      if (link.isGrowing && (await isNotEncodedYet(response))) {
        await this._pauseForGrowth(signal);
      } else if (EXPIRED.has(response?.status) && failures++ < 1) {
        this.replace(await this._renew());
      } else if (isTemporary(link, response) && failures < RETRY_MS.length) {
        this._growthStart.end(this); // others may have begun to grow before this one
        await this._pause(RETRY_MS[failures++], signal);
      } else {
        throw new Error(reasonOf(response));
      }
    }
  }

  // Ask how many bytes a growing stem has by now.
  async measure(signal) {
    const { link } = this;
    const response = await this._request(link, this.size, this.size, signal);
    await response.body?.cancel();
  }

  async _request(link, first, last, signal) {
    const isOwn = new URL(link.url, self.location.href).origin === self.location.origin;
    const headers = { ...(isOwn ? link.headers : {}), Range: `bytes=${first}-${last}` };
    // no-store: the browser's cache would let requests for the same file wait for each other
    const response = await fetch(link.url, { headers, signal, cache: "no-store" });
    const total = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
    if (total && link === this.link) this.size = Number(total[1]);
    return response;
  }

  async _body(response, offset) {
    const reader = response.body.getReader();
    if (response.status === 206 || offset === 0) return reader;
    return skipBytes(reader, offset); // the server sent the whole file
  }

  _pauseForGrowth(signal) {
    if (this.size) return this._pause(GROWTH_CHECK_MS, signal);
    if (this._growthStart.isAskedBy(this)) return this._pause(FIRST_CHECK_MS, signal);
    return this._waitFor(this._growthStart.next, signal);
  }

  _pause(ms, signal) {
    return this._waitFor(new Promise((resolve) => { setTimeout(resolve, ms); }), signal);
  }

  // Wait, at most until this source is replaced.
  _waitFor(promise, signal) {
    return new Promise((resolve, reject) => {
      promise.then(resolve);
      this._changed.promise.then(resolve);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }
}

// Reads a source from a byte on. `offset` is that of the first byte in `buffer`.
export class ByteCursor {
  // The first request is for `length` bytes, later ones for more.
  constructor(source, offset, signal, length = FIRST_BYTES) {
    this.offset = offset;
    this.buffer = new Uint8Array(0);
    this._source = source;
    this._signal = signal;
    this._length = length;
    this._pieces = []; // that follow the buffer
    this._reader = null;
    this._arrived = Promise.withResolvers();
    this._breaks = 0;
    this._error = null;
  }

  // Return whether the buffer has `count` bytes; the stem ends before if not.
  async fill(count) {
    while (this.buffer.length < count) {
      if (this._pieces.length) this._append(this._pieces.shift());
      else if (this._error) throw this._error;
      else if (this._reader) await this._arrived.promise;
      else if (!(await this._request())) return false;
    }
    return true;
  }

  // Remove `count` bytes from the buffer, which must have them, and return them.
  take(count) {
    const bytes = this.buffer.subarray(0, count);
    this.buffer = this.buffer.subarray(count);
    this.offset += count;
    return bytes;
  }

  // Move on by `count` bytes.
  async skip(count) {
    if (count <= this.buffer.length + FIRST_BYTES) {
      if (await this.fill(count)) this.take(count);
      return;
    }
    this.close();
    this._pieces = [];
    this.buffer = new Uint8Array(0);
    this.offset += count;
  }

  close() {
    this._reader?.cancel().catch(() => {}); // it may have broken off
    this._reader = null;
  }

  async _request() {
    const next = this.offset + this.buffer.length;
    const reader = await this._source.open(next, this._length, this._signal);
    this._length = Math.min(this._length * 2, MAX_BYTES);
    if (reader) this._receive(reader);
    return reader !== null;
  }

  // Take the whole response, even if it is needed later: a browser has few connections to a host,
  // and a response that is read slowly would occupy one.
  async _receive(reader) {
    this._reader = reader;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this._reader !== reader) break;
        this._pieces.push(value);
        this._breaks = 0;
        this._notify();
      }
    } catch (error) {
      // A response that breaks off is continued by another one.
      if (this._signal.aborted || ++this._breaks > MAX_BREAKS) this._error = error;
    }
    if (this._reader === reader) this._reader = null;
    this._notify();
  }

  _notify() {
    this._arrived.resolve();
    this._arrived = Promise.withResolvers();
  }

  _append(bytes) {
    const joined = new Uint8Array(this.buffer.length + bytes.length);
    joined.set(this.buffer);
    joined.set(bytes, this.buffer.length);
    this.buffer = joined;
  }
}

// Whether a stem that grows has nothing of the range by now; before its first bytes it has no file.
async function isNotEncodedYet(response) {
  if (response?.status !== 404) return response?.status === 416;
  const problem = await response.json().catch(() => null);
  return Boolean(problem?.type?.endsWith(":not-separated"));
}

// Whether another attempt may succeed. Stems of a song begin to grow one after the other.
function isTemporary(link, response) {
  if (!response || response.status >= 500 || response.status === 429) return true;
  return link.isGrowing && response.status === 404;
}

// Return why there are no bytes, in words that go on after the stem's name and a colon.
function reasonOf(response) {
  if (!response) return "the server cannot be reached";
  if (response.status === 404) return "it is not on the server any more";
  return "the server does not send it";
}

// Return a reader of what follows the first `count` bytes.
async function skipBytes(reader, count) {
  let left = count;
  while (left > 0) {
    const { done, value } = await reader.read();
    if (done) break;
    left -= value.length;
    if (left < 0) return prepend(value.subarray(left), reader);
  }
  return reader;
}

function prepend(bytes, reader) {
  let isFirst = true;
  return {
    read() {
      if (!isFirst) return reader.read();
      isFirst = false;
      return { done: false, value: bytes };
    },
    cancel: () => reader.cancel(),
  };
}
