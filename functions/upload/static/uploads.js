// Uploads of songs, straight to the store, two at a time in the order in which they were added.

import { Problem, call } from "./api.js";
import { FINISHED, newId } from "./library.js";
import { deleteSong, endJob } from "./removal.js";
import { problemText } from "./words.js";

const AT_ONCE = 2;
const ANSWER_MS = 1000; // in which other tabs say that they are there
const TAKE_BACK_TRIES = 60; // one a second: a job is known soon after its song has arrived
const TAB = newId();

// Held as long as this tab lives: what a tab that is gone has not uploaded is interrupted.
navigator.locks?.request(`tab:${TAB}`, () => new Promise(() => {}));

// Without locks (plain HTTP from another machine) tabs ask each other.
const tabs = new BroadcastChannel("tabs");
tabs.addEventListener("message", ({ data }) => {
  if (data === "who") tabs.postMessage(TAB);
});

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
  const unsure = songs.filter((song) => song.tab !== TAB);
  if (unsure.length === 0) return [];
  const others = await otherTabs();
  return unsure.filter((song) => !others.has(song.tab));
}

async function otherTabs() {
  if (navigator.locks) {
    const { held } = await navigator.locks.query();
    return new Set(held.map((lock) => lock.name.replace(/^tab:/, "")));
  }
  const found = new Set();
  const note = ({ data }) => found.add(data);
  tabs.addEventListener("message", note);
  tabs.postMessage("who");
  await pause(ANSWER_MS);
  tabs.removeEventListener("message", note);
  return found;
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// Delete a song that was sent completely before its upload could be stopped.
async function takeBack(id) {
  const path = `/apiv1/jobs/${id}`;
  for (let tries = 0; tries < TAKE_BACK_TRIES; tries++) {
    try {
      if (FINISHED.has(await endJob(path))) return await deleteSong(path);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
    await pause(1000);
  }
}

// Send the file and the fields of a presigned POST. Uses XMLHttpRequest, because fetch does not
// report how much has been sent.
function sendForm(upload, file, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(upload.fields)) form.append(name, value);
    form.append("file", file); // last: the store ignores fields after the file
    const request = new XMLHttpRequest();
    let isSent = false;
    request.upload.onload = () => { isSent = true; };
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) {
        if (signal.aborted) takeBack(upload.id);
        return resolve();
      }
      const code = request.responseXML?.querySelector("Code")?.textContent;
      return reject(new Problem(request.status, { title: code ?? `status ${request.status}` }));
    };
    request.onerror = () => reject(new Problem(0, {}));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => {
      reject(signal.reason);
      if (!isSent) request.abort(); // else the store may have the song: onload tells
    });
    request.open("POST", upload.url);
    request.send(form);
  });
}

function reason(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.status === 0) return "The upload broke off. Check your connection, then press Retry.";
  if (error.status === 503) return "The server is busy. Wait a moment, then press Retry.";
  if (error.message === "EntityTooLarge") return "This file is too large for this server.";
  if (error.document.type) return problemText(error.document); // of the API, not of the store
  return `The server did not take the file (${error.message}). Press Retry; if that does not help, ask whoever runs this server.`;
}
