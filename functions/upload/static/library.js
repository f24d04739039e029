// The songs of this browser: kept for 30 days in localStorage, one entry a song, so that every tab,
// also a new one, has them all. A song is a plain object:
//   id       the entry's own id
//   job      the upload's or job's id in the API; "" until the upload begins
//   name     the file's name; `title`: what the user calls it
//   added    when it was added, in ms; `order`: its number among those added together
//   state    queued, uploading, interrupted, or a job's state (docs/http.md); gone: the server does
//            not know it
//   document the job as the API shows it, without links to the store
//   preset, options, bytes; tab: the tab that uploads it
//   isToCancel, isToDelete: what is left to do when the server knows its job, or the job has ended
//   unknownSince: since when its job is expected and not known, in ms
// and, not kept: sent (0 to 1), isCancelling, notice (what went wrong with the last request).

import { storage } from "./storage.js";

const PREFIX = "song:";
const KEPT_MS = 30 * 24 * 3600 * 1000;
const TRANSIENT = new Set(["sent", "isCancelling", "notice"]);

export const FINISHED = new Set(["done", "failed", "cancelled", "superseded"]);
const UPLOADING = new Set(["queued", "uploading"]);

export const isFollowed = (song) => song.state === "waiting" || song.state === "running";
export const isUploading = (song) => UPLOADING.has(song.state);

// Dispatches "change" (detail: the song) and "remove" (detail: its id).
export class Library extends EventTarget {
  #songs = new Map();

  constructor() {
    super();
    for (const key of Object.keys(storage).filter((name) => name.startsWith(PREFIX))) {
      const song = parse(storage.getItem(key));
      if (song && Date.now() - song.added < KEPT_MS) this.#songs.set(song.id, song);
      else this.#forget(key.slice(PREFIX.length));
    }
    window.addEventListener("storage", (event) => this.#takeFromOtherTab(event));
  }

  // Return all songs, those added last first.
  all() {
    return [...this.#songs.values()].sort((a, b) => b.added - a.added || a.order - b.order);
  }

  get(id) {
    return this.#songs.get(id);
  }

  // Return the song with this id, of this upload, or of this job.
  find(id) {
    return this.#songs.get(id) ?? this.all().find(
      (song) => song.job === id || song.document?.id === id,
    );
  }

  add(song) {
    this.#songs.set(song.id, song);
    this.#keep(song);
    this.#changed(song);
  }

  update(id, changes) {
    const song = this.#songs.get(id);
    if (!song) return;
    const before = kept(song);
    Object.assign(song, changes);
    if (kept(song) !== before) this.#keep(song);
    this.#changed(song);
  }

  // Apply a job, or changes of one, as the API sends them. A `leader` keeps it, for all tabs.
  applyJob(job, { keep = true } = {}) {
    const upload = /^form\/([0-9a-f]{32})\//.exec(job.key ?? "")?.[1];
    const songs = [...this.#songs.values()].filter(
      (song) => song.job && (song.document?.id === job.id || song.job === job.id || song.job === upload),
    );
    for (const song of songs) {
      const known = song.document ?? {};
      const isOlder = known.id === job.id && known.updated > job.updated;
      if (isOlder && !FINISHED.has(job.state)) continue; // components' clocks may differ a little
      const stateBefore = song.state;
      song.document = { ...(known.id === job.id ? known : {}), ...withoutLinks(job) };
      song.state = job.state;
      if (FINISHED.has(job.state)) song.isCancelling = false;
      if (keep && (stateBefore !== song.state || job.key)) this.#keep(song);
      this.#changed(song);
    }
  }

  remove(id) {
    this.#songs.delete(id);
    this.#forget(id);
    this.dispatchEvent(new CustomEvent("remove", { detail: id }));
  }

  #changed(song) {
    this.dispatchEvent(new CustomEvent("change", { detail: song }));
  }

  #keep(song) {
    try {
      storage.setItem(PREFIX + song.id, kept(song));
    } catch {
      // Full: the song is in this tab only.
    }
  }

  #forget(id) {
    storage.removeItem(PREFIX + id);
    storage.removeItem(`mix:${id}`);
  }

  #takeFromOtherTab({ key, newValue }) {
    if (!key?.startsWith(PREFIX)) return;
    const id = key.slice(PREFIX.length);
    const song = newValue && parse(newValue);
    if (song) {
      this.#songs.set(id, { ...pick(this.#songs.get(id), TRANSIENT), ...song });
      this.#changed(this.#songs.get(id));
    } else if (this.#songs.delete(id)) {
      this.dispatchEvent(new CustomEvent("remove", { detail: id }));
    }
  }
}

// Return 32 random hex digits.
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function kept(song) {
  return JSON.stringify(song, (key, value) => (TRANSIENT.has(key) ? undefined : value));
}

function pick(song = {}, names) {
  return Object.fromEntries(Object.entries(song).filter(([name]) => names.has(name)));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// Links to the store expire, and are secrets: they are not kept.
function withoutLinks(job) {
  if (!job.stems) return job;
  return { ...job, stems: job.stems.map(({ name, file }) => ({ name, file })) };
}
