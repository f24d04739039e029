// The page: songs that are dropped are uploaded and followed; one of them is chosen and played.

import { Problem, call } from "./api.js";
import { watchDrops } from "./drop.js";
import { JobEvents } from "./events.js";
import { watchKeys } from "./keyboard.js";
import { FINISHED, Library, isFollowed, isUploading, newId } from "./library.js";
import { Mixer } from "./mixer.js";
import { chosenOptions, offerModels, rejection, showLimits } from "./options.js";
import { Player } from "./player/player.js";
import { SongList, setText } from "./song-list.js";
import { SongView } from "./song-view.js";
import { watchTakeAway } from "./take-away.js";
import { Uploads, interruptedUploads } from "./uploads.js";
import { percent, problemText, songTitle, stateText, stemTitle } from "./words.js";

const find = (id) => document.getElementById(id);
const library = new Library();
const uploads = new Uploads(library);
const player = new Player();
const mixer = new Mixer(player, (id) => call("GET", `/apiv1/jobs/${id}`));
const view = new SongView(library, mixer, { retryText });
const list = new SongList(library, { onChoose: choose, onCancel: cancel });
const events = new JobEvents(() => library.all().filter((song) => song.job && isFollowed(song))
  .sort((a, b) => a.added - b.added || a.order - b.order).map((song) => song.job));
const states = new Map(); // id -> the state that was announced last
const toCancel = new Set(); // ids of songs whose job the server does not know yet
let replaced = ""; // the interrupted song whose file is being chosen again

// --- songs come in

function addFiles(files) {
  const reasons = files.map(rejection).filter(Boolean);
  setText(find("page-problem"), reasons.join(" "));
  const added = Date.now();
  const songs = files.filter((file) => !rejection(file)).map((file, order) => ({
    id: newId(), job: "", name: file.name, bytes: file.size, added, order, state: "queued",
    document: null, ...chosenOptions(), file,
  }));
  if (songs.length && replaced) library.remove(replaced);
  replaced = "";
  for (const { file, ...song } of songs) {
    library.add(song);
    uploads.add(song, file);
  }
  if (songs.length && !player.isPlaying) choose(songs[0].id);
}

find("files").addEventListener("change", (event) => {
  addFiles([...event.target.files]);
  event.target.value = ""; // the same file can then be chosen again
});
watchDrops(addFiles);
find("example").addEventListener("click", async () => {
  const song = await (await fetch("/example.mp3")).blob();
  addFiles([new File([song], "Black Mountain.mp3", { type: "audio/mpeg" })]);
});

// --- one song is chosen

function choose(id) {
  const song = library.get(id) ?? null;
  list.choose(song?.id);
  view.show(song);
  const hash = song ? `#song=${song.job || song.id}` : "";
  if (location.hash !== hash) history.replaceState(null, "", hash || location.pathname);
  showTitle();
}

// Choose the song that the address names; it may be one that this browser does not know yet.
async function chooseByAddress() {
  const id = /^#song=([0-9a-f]{32}|[0-9a-f]{64})$/.exec(location.hash)?.[1];
  const known = id && library.find(id);
  if (known) return choose(known.id);
  if (id) {
    const job = await call("GET", `/apiv1/jobs/${id}`).catch(() => null);
    if (job) {
      const song = {
        id: newId(), job: job.id, name: job.key.split("/").at(-1), added: Date.now(), order: 0,
        state: job.state, document: null, options: job.options, preset: "all",
      };
      library.add(song);
      library.applyJob(job);
      return choose(song.id);
    }
    setText(find("page-problem"), "The song of this link is not on the server any more.");
  }
  return choose(library.all()[0]?.id);
}

// --- what can be done with a song

async function cancel(id) {
  const song = library.get(id);
  if (isUploading(song)) return library.update(id, { state: "cancelled" }); // ends the upload
  library.update(id, { isCancelling: true, notice: "" });
  return requestCancellation(song);
}

async function requestCancellation(song) {
  try {
    const { state } = await call("DELETE", `/apiv1/jobs/${song.job}?cancel_only=true`);
    if (state === "cancelled") library.update(song.id, { state, isCancelling: false });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 404) {
      toCancel.add(song.id);
      return;
    }
    library.update(song.id, { isCancelling: false });
    if (error.status === 409) await refresh(song);
    else library.update(song.id, { notice: "The server could not be asked to cancel this song. Press Cancel again." });
  }
}

async function refresh(song) {
  const job = await call("GET", `/apiv1/jobs/${song.job}`).catch(() => null);
  if (!job) return false;
  library.applyJob(job);
  events.publish(job);
  return true;
}

// Whether neither this tab nor the server has the song's file.
const needsFile = (song) => !song.document && !uploads.canRetry(song.id);

// Return what the button says that tries a song again; "" if there is nothing to try.
function retryText(song) {
  const hasFailed = ["interrupted", "failed", "cancelled"].includes(song.state);
  if (!hasFailed && !(song.state === "done" && song.notice)) return "";
  return needsFile(song) ? "Choose the file again" : "Retry";
}

async function retry(song) {
  if (needsFile(song)) {
    replaced = song.id;
    find("files").click();
    return;
  }
  if (uploads.canRetry(song.id)) return uploads.retry(song);
  try {
    await call("POST", `/apiv1/jobs/${song.document.id}/retry`);
    library.update(song.id, { state: "waiting", notice: "" });
    await refresh(song);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    library.update(song.id, { notice: problemText(error.document) });
  }
}

async function removeSong(song, isForGood) {
  if (isForGood && song.job) {
    const flags = FINISHED.has(song.state) ? "?song=true" : "";
    try {
      await call("DELETE", `/apiv1/jobs/${song.document?.id ?? song.job}${flags}`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status !== 404) {
        setText(find("remove-problem"), "The server could not delete it. Try again in a moment.");
        find("remove-dialog").showModal();
        return;
      }
    }
  }
  library.remove(song.id);
}

find("cancel").onclick = () => cancel(view.song.id);
find("retry").onclick = () => retry(view.song);
find("rename").onclick = () => {
  find("new-title").value = songTitle(view.song);
  find("rename-dialog").returnValue = "";
  find("rename-dialog").showModal();
  find("new-title").select();
};
find("rename-dialog").onclose = (event) => {
  const title = find("new-title").value.trim();
  if (event.target.returnValue === "rename" && title) library.update(view.song.id, { title });
};
find("remove").onclick = () => {
  setText(find("remove-name"), songTitle(view.song));
  setText(find("remove-problem"), "");
  find("delete").hidden = !view.song.job;
  find("remove-dialog").returnValue = "";
  find("remove-dialog").showModal();
};
find("remove-dialog").onclose = (event) => {
  const { returnValue } = event.target;
  if (returnValue) removeSong(view.song, returnValue === "delete");
};
watchTakeAway(() => ({ song: view.song, mixer, player }));
find("keys-button").onclick = () => find("keys").showModal();
watchKeys(mixer, () => find("keys").showModal());

// --- what is shown

function showSong(song) {
  list.show(song);
  if (song.document && toCancel.delete(song.id)) requestCancellation(song);
  if (view.song?.id === song.id) {
    view.show(song);
    if (song.job && location.hash === `#song=${song.id}`) choose(song.id);
  }
  if (states.get(song.id) !== song.state) {
    if (states.has(song.id)) setText(find("announcement"), `${songTitle(song)}: ${stateText(song)}`);
    states.set(song.id, song.state);
    events.refresh();
  }
  showPage();
}

function showPage() {
  const songs = library.all();
  find("welcome").hidden = songs.length > 0;
  find("desk").hidden = songs.length === 0;
  const waiting = songs.filter((song) => song.state === "waiting").length;
  const sending = songs.filter(isUploading).length;
  setText(find("queue"), [
    sending ? `${sending} to upload` : "", waiting ? `${waiting} waiting` : "",
  ].filter(Boolean).join(" · "));
  showTitle();
}

function showTitle() {
  const song = library.all().find((one) => one.state === "running") ?? view.song;
  const title = song ? songTitle(song) : "";
  let text = "Micro Demucs";
  if (song?.state === "running") text = `${percent(song.document?.progress ?? 0)} ${title} · ${text}`;
  else if (song) text = `${title} · ${text}`;
  if (player.isPlaying && view.song) text = `▶ ${songTitle(view.song)} · Micro Demucs`;
  if (document.title !== text) document.title = text;
}

library.addEventListener("change", ({ detail }) => showSong(detail));
library.addEventListener("remove", ({ detail: id }) => {
  list.remove(id);
  states.delete(id);
  if (view.song?.id === id) {
    choose(library.all()[0]?.id);
  }
  showPage();
});
events.addEventListener("job", ({ detail }) => library.applyJob(detail, { keep: events.isLeader }));
events.addEventListener("connection", ({ detail }) => { find("connection").hidden = detail; });

player.addEventListener("change", showTitle);
player.addEventListener("problem", ({ detail }) => {
  setText(find("player-problem"), `${stemTitle(detail.stem)} cannot be played: ${detail.message}`);
});

window.addEventListener("hashchange", chooseByAddress);
window.addEventListener("beforeunload", (event) => {
  if (uploads.isBusy) event.preventDefault();
});

// --- start

async function findInterrupted() {
  for (const song of await interruptedUploads(library.all().filter(isUploading))) {
    if (song.job && (await refresh(song))) continue; // it had arrived after all
    library.update(song.id, { state: "interrupted" });
  }
}

for (const song of library.all()) showSong(song);
showPage();
chooseByAddress();
findInterrupted();
document.addEventListener("visibilitychange", findInterrupted);
call("GET", "/apiv1/service").then(showLimits, () => {}); // else the page says less
call("GET", "/apiv1/models").then(offerModels, () => {}); // else only the standard model
