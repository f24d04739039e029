// The chosen song: what it is, how far it is, what can be done with it, and its mixer.

import { Problem, call, request } from "./api.js";
import { isFollowed, isUploading } from "./library.js";
import { presetOf } from "./options.js";
import { setText } from "./song-list.js";
import { formatTime, problemOf, songTitle, stateText, warningText } from "./words.js";

const find = (id) => document.getElementById(id);
const LINKS_AGAIN_MS = 5000;
const PLAYABLE = new Set(["queued", "uploading", "waiting", "running", "done"]);

export class SongView {
  #library;
  #mixer;
  #song = null;
  #job = null; // with links, of a song that is done
  #fetching = "";

  constructor(library, mixer, { retryText }) {
    this.#library = library;
    this.#mixer = mixer;
    this.retryText = retryText;
  }

  get song() {
    return this.#song;
  }

  // Show a song, or that none is chosen (null).
  show(song) {
    if (song?.id !== this.#song?.id) this.#job = null;
    this.#song = song;
    find("nothing").hidden = Boolean(song);
    find("chosen").hidden = !song;
    if (!song) {
      this.#mixer.clear();
      return;
    }
    const job = song.document;
    find("chosen").dataset.state = song.state;
    setText(find("title"), songTitle(song));
    setText(find("facts"), facts(song).join(" · "));
    setText(find("state"), song.state === "done" ? "" : stateText(song));
    showCover(song);
    this.#showProgress(song);
    setText(find("problem"), problemOf(song));
    const notes = PLAYABLE.has(song.state) ? job?.warnings ?? [] : []; // they are of its stems
    const warnings = [...new Set(notes.map(warningText))];
    if (find("warnings").dataset.shown !== warnings.join()) {
      find("warnings").dataset.shown = warnings.join();
      find("warnings").replaceChildren(...warnings.map(listItem));
    }
    find("cancel").hidden = !isFollowed(song) && !isUploading(song);
    find("cancel").disabled = Boolean(song.isCancelling);
    find("retry").hidden = !this.retryText(song);
    setText(find("retry"), this.retryText(song));
    const isPlayable = PLAYABLE.has(song.state);
    find("mixer").hidden = !isPlayable;
    if (song.state !== "done") this.#job = null;
    else if (this.#job?.id !== job?.id) this.#fetchLinks(song);
    if (isPlayable) this.#mixer.show(song, this.#job);
    else this.#mixer.clear();
  }

  async #fetchLinks(song) {
    if (this.#fetching === song.id) return;
    this.#fetching = song.id;
    try {
      const job = await call("GET", `/apiv1/jobs/${song.document?.id ?? song.job}`);
      if (this.#song?.id === song.id && job.state === "done") this.#job = job;
      this.#library.applyJob(job);
      const areDeleted = job.state === "done" && job.stems.length === 0;
      const notice = areDeleted ? "Its stems were deleted. Press Retry to make them again." : "";
      this.#library.update(song.id, { notice });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 404) this.#library.update(song.id, { state: "gone" });
      else {
        this.#library.update(song.id, { notice: "The stems cannot be fetched now. Please wait: the page tries again." });
        setTimeout(() => this.#fetchLinksAgain(song.id), LINKS_AGAIN_MS);
      }
    } finally {
      this.#fetching = "";
    }
  }

  #fetchLinksAgain(id) {
    if (this.#song?.id === id && !this.#job) this.show(this.#song);
  }

  #showProgress(song) {
    const bar = find("progress");
    bar.hidden = !isFollowed(song) && !isUploading(song);
    bar.setAttribute("aria-label", stateText(song));
    if (song.state === "running") bar.value = song.document?.progress ?? 0;
    else if (song.state === "uploading") bar.value = song.sent ?? 0;
    else bar.removeAttribute("value");
  }
}

function facts(song) {
  const job = song.document ?? {};
  const { seconds, loudness, tags = {} } = job.song ?? {};
  const format = job.options?.format ?? song.options?.format ?? "mp3";
  return [
    tags.artist,
    seconds ? formatTime(seconds) : "",
    Number(tags.bpm) ? `${Math.round(tags.bpm)} BPM` : "",
    tags.key,
    typeof loudness === "number" ? `${loudness.toFixed(1)} LUFS` : "",
    presetOf(song).title,
    format.toUpperCase(),
    job.state === "done" ? job.model : "",
  ].filter(Boolean);
}

// Show the song's cover, or else a colour and a letter of its own.
async function showCover(song) {
  const cover = find("cover");
  const path = song.document?.links?.cover ?? "";
  const key = [song.id, path, songTitle(song)].join(" ");
  if (cover.dataset.key === key) return;
  cover.dataset.key = key;
  cover.replaceChildren();
  let hue = 0;
  for (const character of songTitle(song)) hue = (hue * 31 + character.codePointAt(0)) % 360;
  cover.style.setProperty("--hue", hue);
  cover.dataset.letter = [...songTitle(song)][0]?.toUpperCase() ?? "";
  if (!path) return;
  const reader = new FileReader(); // an <img> could not send a token
  reader.onload = () => {
    if (cover.dataset.key !== key) return;
    const image = new Image();
    image.alt = "";
    image.src = reader.result;
    cover.replaceChildren(image);
  };
  const file = await request("GET", path).then((response) => response.blob()).catch(() => null);
  if (file) reader.readAsDataURL(file);
}

function listItem(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}
