// Uploads of songs, straight to the store, two at a time in the order in which they were added.

import { Problem, call } from "./api.js";
import { newId } from "./library.js";

const AT_ONCE = 2;
const TAB = newId();

// Held as long as this tab lives: what a tab that is gone has not uploaded is interrupted.
navigator.locks?.request(`tab:${TAB}`, () => new Promise(() => {}));

export class Uploads {
  #library;
  #queue = []; // {id, file}
  #running = new Map(); // id -> AbortController
  #files = new Map(); // id -> file, until it is uploaded, so that it can be tried again

  constructor(library) {
    this.#library = library;
    library.addEventListener("change", ({ detail: song }) => {
      if (song.state === "cancelled") this.#stop(song.id);
    });
    library.addEventListener("remove", ({ detail: id }) => {
      this.#stop(id);
      this.#files.delete(id);
    });
  }

  get isBusy() {
    return this.#queue.length + this.#running.size > 0;
  }

  // Upload the file of a song of the library.
  add(song, file) {
    this.#files.set(song.id, file);
    this.#queue.push({ id: song.id, file });
    this.#library.update(song.id, { state: "queued", tab: TAB, sent: 0, notice: "", document: null });
    this.#startNext();
  }

  canRetry(id) {
    return this.#files.has(id);
  }

  retry(song) {
    this.add(song, this.#files.get(song.id));
  }

  #stop(id) {
    this.#queue = this.#queue.filter((entry) => entry.id !== id);
    this.#running.get(id)?.abort();
  }

  #startNext() {
    while (this.#running.size < AT_ONCE && this.#queue.length) {
      const { id, file } = this.#queue.shift();
      const abort = new AbortController();
      this.#running.set(id, abort);
      this.#upload(id, file, abort.signal)
        .catch((error) => {
          if (!abort.signal.aborted) this.#library.update(id, { state: "failed", notice: reason(error) });
        })
        .finally(() => {
          this.#running.delete(id);
          this.#startNext();
        });
    }
  }

  async #upload(id, file, signal) {
    const { options } = this.#library.get(id);
    this.#library.update(id, { state: "uploading" });
    const form = await call("POST", "/apiv1/uploads", {
      filename: file.name, type: file.type, options,
    });
    signal.throwIfAborted();
    this.#library.update(id, { job: form.id });
    await sendForm(form, file, signal, (sent) => this.#library.update(id, { sent }));
    this.#files.delete(id);
    this.#library.update(id, { state: "waiting", tab: "" });
  }
}

// Return the ids of those of `songs` that a tab that is gone has not uploaded.
export async function interruptedUploads(songs) {
  const locks = (await navigator.locks?.query())?.held ?? [];
  const tabs = new Set(locks.map((lock) => lock.name));
  return songs.filter((song) => song.tab !== TAB && !tabs.has(`tab:${song.tab}`));
}

// Send the file and the fields of a presigned POST. Uses XMLHttpRequest, because fetch does not
// report how much has been sent.
function sendForm(upload, file, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(upload.fields)) form.append(name, value);
    form.append("file", file); // last: the store ignores fields after the file
    const request = new XMLHttpRequest();
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) return resolve();
      const code = request.responseXML?.querySelector("Code")?.textContent;
      return reject(new Problem(request.status, { title: code ?? `status ${request.status}` }));
    };
    request.onerror = () => reject(new Problem(0, {}));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", upload.url);
    request.send(form);
  });
}

function reason(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.status === 0) return "The upload broke off. Check your connection, then press Retry.";
  if (error.status === 503) return "The server is busy. Wait a moment, then press Retry.";
  if (error.message === "EntityTooLarge") return "This file is too large for this server.";
  if (error.status === 422) return error.message;
  return `The server did not take the file (${error.message}). Press Retry; if that does not help, ask whoever runs this server.`;
}
