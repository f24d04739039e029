// Removing a song: off the list of this browser, or from the server too. The server deletes no song
// that it works on: such a job is cancelled first, and the song is deleted when the job has ended.
// That it is to be deleted is kept with the song, for the case that the page is closed before.

import { Problem, call } from "./api.js";
import { ask } from "./dialogs.js";
import { FINISHED, isFollowed, isUploading } from "./library.js";
import { setText } from "./song-list.js";
import { songTitle } from "./words.js";

const find = (id) => document.getElementById(id);

export class Removal {
  #library;
  #waiting = new Map(); // id -> whether the song, which it is called with, can be deleted now

  constructor(library) {
    this.#library = library;
    library.addEventListener("change", ({ detail: song }) => this.#goOn(song));
    library.addEventListener("remove", ({ detail: id }) => this.#waiting.delete(id));
  }

  // Delete what was to be deleted when the page was closed.
  start() {
    for (const { id, isToDelete } of this.#library.all()) if (isToDelete) this.#delete(id);
  }

  // Ask how a song is to be removed, and remove it so.
  async ask({ id, job, ...song }, problem = "") {
    setText(find("remove-name"), songTitle(song));
    setText(find("remove-problem"), problem);
    find("delete").hidden = !job;
    const answer = await ask(find("remove-dialog"));
    if (answer === "list") this.#library.remove(id);
    else if (answer === "delete") await this.#delete(id);
  }

  #goOn(song) {
    const isReady = this.#waiting.get(song.id);
    if (!isReady || !(isReady(song) || song.state === "gone")) return;
    this.#waiting.delete(song.id);
    this.#delete(song.id);
  }

  async #delete(id) {
    const song = this.#library.get(id);
    if (!song) return; // another tab has removed it
    if (isUploading(song)) this.#library.update(id, { state: "cancelled" }); // ends the upload
    this.#library.update(id, { isToDelete: true, isCancelling: true, notice: "" });
    try {
      const isReady = await deleteOrCancel(song);
      if (isReady) this.#wait(id, isReady);
      else this.#library.remove(id);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#fail(song);
    }
  }

  #wait(id, isReady) {
    const song = this.#library.get(id);
    if (!song) return;
    if (!isFollowed(song) && !song.document) this.#library.update(id, { state: "waiting" }); // follow it
    this.#waiting.set(id, isReady);
    this.#goOn(song); // it may have ended meanwhile
  }

  #fail(song) {
    const problem = "The server could not delete it. Try again in a moment.";
    this.#library.update(song.id, { isToDelete: false, isCancelling: false });
    if (!this.#library.get(song.id)) return;
    if (document.querySelector("dialog[open]")) this.#library.update(song.id, { notice: problem });
    else this.ask(song, problem);
  }
}

// Delete a song from the server and return null. If that is not possible yet, cancel its job, and
// return a function that says of the song whether to try again. Throws Problem.
async function deleteOrCancel(song) {
  if (!song.job) return null;
  const path = `/apiv1/jobs/${song.document?.id ?? song.job}`;
  const isOver = song.document && hasEnded(song);
  const state = isOver ? song.state : await endJob(path);
  if (!state) return isFollowed(song) && !song.document ? isKnown : null;
  if (!FINISHED.has(state)) return hasEnded;
  await deleteSong(path);
  return null;
}

const isKnown = (song) => Boolean(song.document);
const hasEnded = (song) => FINISHED.has(song.state);

// Cancel a job unless it has ended; return its state, "" if the server does not know it. Throws Problem.
export async function endJob(path) {
  try {
    return (await call("DELETE", `${path}?cancel_only=true`)).state;
  } catch (error) {
    if (error.status === 404) return "";
    if (error.status === 409) return "done"; // or it ended otherwise
    throw error;
  }
}

// Delete a song and its stems, if its job has ended. Throws Problem.
export async function deleteSong(path) {
  await call("DELETE", `${path}?song=true`).catch((error) => {
    if (error.status !== 404) throw error; // else it is deleted already
  });
}
