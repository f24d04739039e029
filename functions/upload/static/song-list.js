// The list of songs: light rows, searchable; one of them is chosen.

import { isFollowed, isUploading } from "./library.js";
import { songTitle, stateText } from "./words.js";

const list = document.getElementById("songs");
const search = document.getElementById("search");
const template = document.getElementById("song-template");

export class SongList {
  #library;
  #rows = new Map();

  constructor(library, { onChoose, onCancel }) {
    this.#library = library;
    this.onChoose = onChoose;
    this.onCancel = onCancel;
    search.addEventListener("input", () => this.#filter());
  }

  // Show the row of a song, a new one if it has none. A new one is seen, whatever is searched for.
  show(song) {
    let row = this.#rows.get(song.id);
    const isNew = !row;
    if (isNew) {
      row = this.#createRow(song.id);
      this.#rows.set(song.id, row);
      const songs = this.#library.all();
      const next = songs.slice(songs.findIndex(({ id }) => id === song.id) + 1)
        .map(({ id }) => this.#rows.get(id)).find(Boolean);
      list.insertBefore(row, next ?? null);
    }
    const title = songTitle(song);
    const isUnfinished = isFollowed(song) || isUploading(song);
    row.dataset.state = song.state;
    row.dataset.job = song.document?.id ?? song.job;
    setText(row.querySelector(".name"), title);
    setText(row.querySelector(".row-state"), stateText(song));
    setText(row.querySelector(".name-of"), ` ${title}`);
    const cancel = row.querySelector(".cancel");
    cancel.hidden = !isUnfinished;
    cancel.disabled = Boolean(song.isCancelling);
    const share = isUploading(song) ? song.sent ?? 0 : song.document?.progress ?? 0;
    row.style.setProperty("--progress", isUnfinished ? share : 0);
    this.#filterRow(row);
    if (isNew && row.hidden) this.#endSearch();
    else this.#showWhetherAnyMatches();
  }

  remove(id) {
    this.#rows.get(id)?.remove();
    this.#rows.delete(id);
    this.#showWhetherAnyMatches();
  }

  // Mark the chosen song.
  choose(id) {
    for (const [other, row] of this.#rows) {
      const button = row.querySelector(".choose");
      if (other === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  #createRow(id) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector(".choose").onclick = () => this.onChoose(id);
    row.querySelector(".cancel").onclick = () => this.onCancel(id);
    return row;
  }

  #filter() {
    for (const row of this.#rows.values()) this.#filterRow(row);
    this.#showWhetherAnyMatches();
  }

  #endSearch() {
    search.value = "";
    this.#filter();
  }

  #showWhetherAnyMatches() {
    const isEmpty = [...this.#rows.values()].every((row) => row.hidden);
    document.getElementById("no-match").hidden = !isEmpty || this.#rows.size === 0;
  }

  #filterRow(row) {
    const text = fold(search.value);
    row.hidden = Boolean(text) && !fold(row.querySelector(".name").textContent).includes(text);
  }
}

// Without case and accents: "uber" finds "Über".
const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
