// The page: songs that are dropped are uploaded and followed; one of them is chosen and played.

import { Problem, call, request } from "./api.js";
import { ask } from "./dialogs.js";
import { watchDrops } from "./drop.js";
import { JobEvents } from "./events.js";
import { watchKeys } from "./keyboard.js";
import { Library, isFollowed, isUploading, newId } from "./library.js";
import { Mixer } from "./mixer.js";
import { chosenOptions, offerModels, rejection, showLimits } from "./options.js";
import { Player } from "./player/player.js";
import { Removal } from "./removal.js";
import { SongList, setText } from "./song-list.js";
import { SongView } from "./song-view.js";
import { isKept } from "./storage.js";
import { watchTakeAway } from "./take-away.js";
import { Uploads, interruptedUploads } from "./uploads.js";
import { percent, problemText, songTitle, stateText, stemTitle } from "./words.js";

const UNKNOWN_MS = 10 * 60_000; // by then the job of a song that has arrived is known
const FIND_GONE_MS = 5000;
const CANCEL_MS = 30_000; // so long a cancelled song may be unknown before the page says so
const find = (id) => document.getElementById(id);
const library = new Library();
const uploads = new Uploads(library);
const player = new Player();
const mixer = new Mixer(player, (id) => call("GET", `/apiv1/jobs/${id}`));
const view = new SongView(library, mixer, { retryText });
const list = new SongList(library, { onChoose: choose, onCancel: cancel });
const events = new JobEvents(() => library.all().filter((song) => song.job && isFollowed(song))
  .sort((a, b) => a.added - b.added || a.order - b.order).map((song) => song.job));
const removal = new Removal(library);
const states = new Map(); // id -> the state that was announced last
const toCancel = new Set(); // ids of songs whose job the server does not know yet
const reported = new Set(); // ids of jobs of which an event came
let replaced = ""; // the interrupted song whose file is being chosen again

// --- songs come in

// Add songs; the first one goes to the place of a song whose file was chosen again, with its options.
function addFiles(files, again = null) {
  const reasons = files.map(rejection).filter(Boolean);
  setText(find("page-problem"), reasons.join(" "));
  const added = Date.now();
  const songs = files.filter((file) => !rejection(file)).map((file, order) => ({
    id: newId(), added, order, ...chosenOptions(), ...(order === 0 ? again : null),
    job: "", name: file.name, bytes: file.size, state: "queued", document: null, unknownSince: 0,
    isToCancel: false, file,
  }));
  for (const { file, ...song } of songs) {
    library.add(song);
    uploads.add(song, file);
  }
  if (songs.length && !player.isPlaying) choose(songs[0].id);
}

find("files").addEventListener("change", (event) => {
  addFiles([...event.target.files], library.get(replaced));
  replaced = "";
  event.target.value = ""; // the same file can then be chosen again
});
find("files").addEventListener("cancel", () => { replaced = ""; });
watchDrops((files) => addFiles(files));
find("example").addEventListener("click", async () => {
  const song = await request("GET", "/example.mp3").then((response) => response.blob()).catch(() => null);
  if (song) addFiles([new File([song], "Black Mountain.mp3", { type: "audio/mpeg" })]);
  else setText(find("page-problem"), "The example song cannot be fetched now. Try again in a moment.");
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
  if (!id) return choose(library.all()[0]?.id);
  try {
    addJob(await call("GET", `/apiv1/jobs/${id}`));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 404) {
      setText(find("page-problem"), "The song of this link is not on the server any more.");
      choose(library.all()[0]?.id);
    } else { // the address stays, so that the page can be loaded again
      setText(find("page-problem"), "The song of this link cannot be fetched now. Load the page again in a moment.");
    }
  }
}

function addJob(job) {
  const song = {
    id: newId(), job: job.id, name: job.key.split("/").at(-1), added: Date.now(), order: 0,
    state: job.state, document: null, options: job.options, preset: "all",
  };
  setText(find("page-problem"), "");
  library.add(song);
  library.applyJob(job);
  choose(song.id);
}

// --- what can be done with a song

async function cancel(id) {
  const song = library.get(id);
  if (isUploading(song)) return library.update(id, { state: "cancelled" }); // ends the upload
  library.update(id, { isCancelling: true, isToCancel: false, notice: "" });
  return requestCancellation(song);
}

async function requestCancellation(song) {
  try {
    const { state } = await call("DELETE", `/apiv1/jobs/${song.job}?cancel_only=true`);
    if (state === "cancelled") library.update(song.id, { state, isCancelling: false });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 404) return cancelLater(song);
    library.update(song.id, { isCancelling: false });
    if (error.status === 409) await refresh(song);
    else library.update(song.id, { notice: "The server could not be asked to cancel this song. Press Cancel again." });
  }
}

// Cancel a song as soon as the server knows its job.
function cancelLater(song) {
  if (song.document) return markGone(song);
  toCancel.add(song.id);
  library.update(song.id, { isToCancel: true });
  setTimeout(() => {
    if (!toCancel.has(song.id)) return;
    library.update(song.id, {
      isCancelling: false,
      notice: "The server has not noticed this song yet. It is cancelled as soon as it does.",
    });
  }, CANCEL_MS);
}

// Ask for the song's job; return the status of the answer, 0 if there is none.
async function refresh(song) {
  try {
    const job = await call("GET", `/apiv1/jobs/${song.job}`);
    library.applyJob(job);
    events.publish(job);
    return 200;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error.status;
  }
}

function markGone(song) {
  toCancel.delete(song.id);
  library.update(song.id, { state: "gone", isCancelling: false, isToCancel: false, notice: "" });
}

// Whether neither this tab nor the server has the song's file.
const needsFile = (song) => (!song.document || song.state === "gone") && !uploads.canRetry(song.id);
const hasNoStems = (song) => song.state === "done" && song.document?.stems?.length === 0;

// Return what the button says that tries a song again; "" if there is nothing to try.
function retryText(song) {
  const hasFailed = ["interrupted", "failed", "cancelled", "gone"].includes(song.state);
  if (!hasFailed && !hasNoStems(song)) return "";
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
    const isGone = error.status === 404 || error.document.type?.endsWith(":song-gone");
    if (isGone) markGone(song); // only its file can help
    else library.update(song.id, { notice: problemText(error.document) });
  }
}

async function rename({ id, ...song }) {
  find("new-title").value = songTitle(song);
  const answer = ask(find("rename-dialog"));
  find("new-title").select();
  const isRenamed = (await answer) === "rename";
  const title = find("new-title").value.trim();
  if (isRenamed && title) library.update(id, { title });
}

find("cancel").onclick = () => cancel(view.song.id);
find("retry").onclick = () => retry(view.song);
find("rename").onclick = () => rename(view.song);
find("remove").onclick = () => removal.ask(view.song);
watchTakeAway(() => ({ song: view.song, mixer, player }));
find("keys-button").onclick = () => find("keys").showModal();
watchKeys(mixer, () => find("keys").showModal());

// --- what is shown

function showSong(song) {
  list.show(song);
  if (song.document && toCancel.delete(song.id)) cancel(song.id);
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
events.addEventListener("job", ({ detail }) => {
  reported.add(detail.id);
  library.applyJob(detail, { keep: events.isLeader });
});
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
    if (song.job && (await refresh(song)) === 200) continue; // it had arrived after all
    library.update(song.id, { state: "interrupted" });
  }
}

// A song whose job the server does not know gets no event: it would wait for ever.
async function findGone() {
  if (!events.isLeader) return;
  for (const song of library.all().filter((one) => one.job && isFollowed(one))) {
    if (!song.document && !song.unknownSince) library.update(song.id, { unknownSince: Date.now() });
    const isUnreported = song.document && !reported.has(song.document.id);
    const isLate = !song.document && Date.now() - song.unknownSince > UNKNOWN_MS;
    const status = isUnreported || isLate ? await refresh(song) : 200;
    if (status === 404) markGone(song);
    else if (status !== 200) return; // the server is away
  }
}

async function watchGone() {
  await findGone();
  setTimeout(watchGone, FIND_GONE_MS);
}

for (const song of library.all()) {
  showSong(song);
  if (song.isToCancel) cancel(song.id);
}
showPage();
chooseByAddress();
findInterrupted();
removal.start();
setTimeout(watchGone, FIND_GONE_MS);
if (!isKept) {
  setText(find("page-problem"), "This browser keeps nothing for this page: your songs are listed until you close it.");
}
document.addEventListener("visibilitychange", findInterrupted);
call("GET", "/apiv1/service").then(showLimits, () => {}); // else the page says less
call("GET", "/apiv1/models").then(offerModels, () => {}); // else only the standard model
