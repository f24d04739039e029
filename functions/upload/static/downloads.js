// Downloads of the chosen song: all stems, this mix, a file for DJs; and a link to share it.

import { Problem, call, currentToken, isShared, request } from "./api.js";
import { setText } from "./song-list.js";
import { problemText, songTitle, stemTitle } from "./words.js";

const DOWNLOAD_HOURS = 2; // how long the link to a download is valid
const SHARE_HOURS = 7 * 24;
const KEEP_MS = 60000; // that a file stays in memory, for a browser which asks where to save it

const status = document.getElementById("taken");

const busy = new Set(); // "<song> <kind>" of what is being made

// Do what the button says with what `current()` returns: {song, mixer, player}. Say how it goes below
// the buttons, as long as the same song is chosen.
export async function takeAway(button, current) {
  const { song, mixer, player } = current();
  const kind = button.dataset.take;
  const key = `${song.id} ${kind}`;
  if (busy.has(key)) return;
  const ifChosen = (show) => { if (current().song?.id === song.id) show(); };
  const say = (text) => ifChosen(() => setText(status, text));
  busy.add(key);
  button.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
  status.replaceChildren();
  const waiting = setTimeout(say, 300, "Making the file…");
  try {
    const path = `/apiv1/jobs/${song.document.id}`;
    const name = songTitle(song).replace(/[\\/:*?"<>|]/g, "_");
    if (kind === "share") {
      const link = await createLink(path);
      ifChosen(() => showLink(link));
    } else if (kind === "zip") {
      await openDownload(path);
      say("The download has begun.");
    } else if (kind === "stem.mp4") {
      save(await fetchFile(`${path}/stem.mp4`), `${name}.stem.mp4`);
      say("Saved.");
    } else {
      const saved = mixer.isBent ? "Saved, at the original speed and pitch." : "Saved.";
      const query = mixQuery(mixer.audible);
      const mix = kind === "wav" ? await player.renderMix(tagsOf(song)) : await fetchFile(`${path}/mix.${kind}?${query}`);
      save(mix, `${name} - mix.${kind}`);
      say(saved);
    }
  } catch (error) {
    say(error instanceof Problem ? reasonOf(error) : mixReason(error));
  } finally {
    clearTimeout(waiting);
    busy.delete(key);
    ifChosen(() => button.removeAttribute("aria-disabled"));
  }
}

// Let the browser download all stems by itself: they may be larger than a page can hold.
async function openDownload(path) {
  await request("HEAD", `${path}/stems.zip`);
  const token = isShared() ? currentToken() : (await call("POST", `${path}/share`, { hours: DOWNLOAD_HOURS })).token;
  follow(`${path}/stems.zip?share=${encodeURIComponent(token)}`, "");
}

async function fetchFile(path) {
  const response = await request("GET", path);
  return response.blob().catch(() => {
    throw new Problem(0, { title: "The download broke off" });
  });
}

function mixQuery(audible) {
  const changes = new URLSearchParams();
  for (const [name, { volume, pan }] of Object.entries(audible)) {
    if (volume !== 1) changes.set(name, volume);
    if (pan) changes.set(`${name}.pan`, pan);
  }
  return changes;
}

const tagsOf = (song) => (
  { title: songTitle(song), artist: song.document.song?.tags?.artist }
);

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  follow(url, name);
  setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
}

function follow(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

const createLink = (path) => call("POST", `${path}/share`, { hours: SHARE_HOURS });

// Show a link that opens this song for everybody who has it.
function showLink({ url, expires }) {
  const until = new Date(expires).toLocaleDateString(undefined, { day: "numeric", month: "long" });
  const label = document.createElement("label");
  const link = document.createElement("input");
  const copy = document.createElement("button");
  label.textContent = `Everybody with this link can hear and download this song until ${until}. `;
  Object.assign(link, { id: "share-link", readOnly: true, value: new URL(url, location.href).href });
  link.onfocus = () => link.select();
  Object.assign(copy, { type: "button", className: "key", textContent: "Copy" });
  copy.onclick = async () => {
    link.focus();
    await navigator.clipboard?.writeText(link.value).then(() => { copy.textContent = "Copied"; }, () => {});
  };
  label.append(link);
  status.replaceChildren(label, copy);
}

// Return why this mix could not be made here; `stem` is the one that could not be read, if any.
function mixReason({ stem, message }) {
  return stem ? `${stemTitle(stem)} cannot be used: ${message}` : `That did not work: ${message}`;
}

function reasonOf({ status: code, document: problem }) {
  if (code === 503) return "The server is busy. Try again in a moment.";
  if (code === 404) return "Not all stems are on the server any more.";
  if (code === 0) return `${problem.title}. Try again.`;
  return problemText(problem);
}
