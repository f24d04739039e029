// The bytes of one stem, read by Range requests (RFC 9110, section 14). A stem that is still being
// separated grows: a request for bytes that it does not have yet is repeated until it has them.

const FIRST_BYTES = 256 * 1024; // of a sequence of requests: little, so that a seek is fast
const MAX_BYTES = 1024 * 1024;
const GROWTH_CHECK_MS = 500;
const MAX_BREAKS = 5; // of responses, one after the other
const RETRY_MS = [300, 1000, 3000];
const EXPIRED = new Set([401, 403]);

export class ByteSource {
  // `link` is {url, isGrowing, bytes, headers}. `renew()` returns another link, or throws, if the
  // store refuses this one.
  constructor(link, renew) {
    this._renew = renew;
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
    let failures = 0;
    for (;;) {
      const { link } = this;
      if (!link.isGrowing && this.size !== null && offset >= this.size) return null;
      let response = null;
      try {
        response = await this._request(link, offset, offset + length - 1, signal);
      } catch (error) {
        if (signal.aborted || failures >= RETRY_MS.length) throw error;
      }
      if (link !== this.link) continue; // replaced meanwhile
      if (response?.ok) return this._body(response, offset);
      if (response?.status === 416 && !link.isGrowing) return null;
      if (EXPIRED.has(response?.status)) {
        if (failures++) throw new Error("The link of this stem has expired");
        this.replace(await this._renew());
      } else if (link.isGrowing && [404, 416].includes(response?.status)) {
        await this._pause(GROWTH_CHECK_MS, signal);
      } else if (response && response.status < 500 && response.status !== 429) {
        throw new Error(`The server answered ${response.status}`);
      } else {
        if (failures >= RETRY_MS.length) throw new Error(`The server answered ${response.status}`);
        await this._pause(RETRY_MS[failures++], signal);
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

  _pause(ms, signal) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      this._changed.promise.then(resolve);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      }, { once: true });
    });
  }
}

// Reads a source from a byte on. `offset` is that of the first byte in `buffer`.
export class ByteCursor {
  constructor(source, offset, signal) {
    this.offset = offset;
    this.buffer = new Uint8Array(0);
    this._source = source;
    this._signal = signal;
    this._length = FIRST_BYTES;
    this._reader = null;
    this._breaks = 0;
  }

  // Return whether the buffer has `count` bytes; the stem ends before if not.
  async fill(count) {
    while (this.buffer.length < count) {
      this._reader ??= await this._open();
      if (!this._reader) return false;
      const { done, value } = await this._read();
      if (done) this._reader = null;
      else this._append(value);
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

  async skip(count) {
    if (count <= this.buffer.length + FIRST_BYTES) {
      if (await this.fill(count)) this.take(count);
      return;
    }
    await this._reader?.cancel();
    this._reader = null;
    this.buffer = new Uint8Array(0);
    this.offset += count;
  }

  async close() {
    await this._reader?.cancel();
  }

  // Read the next piece. A response that breaks off is continued by another one.
  async _read() {
    try {
      return await this._reader.read();
    } catch (error) {
      if (this._signal.aborted || this._breaks++ >= MAX_BREAKS) throw error;
      return { done: true };
    }
  }

  async _open() {
    const reader = await this._source.open(
      this.offset + this.buffer.length, this._length, this._signal,
    );
    this._length = Math.min(this._length * 2, MAX_BYTES);
    return reader;
  }

  _append(bytes) {
    const joined = new Uint8Array(this.buffer.length + bytes.length);
    joined.set(this.buffer);
    joined.set(bytes, this.buffer.length);
    this.buffer = joined;
    this._breaks = 0;
  }
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
