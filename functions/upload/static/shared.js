// The page of a share link: it shows and plays one job, and needs no other token.

import { Problem, call, useShareToken } from "./api.js";
import { watchKeys } from "./keyboard.js";
import { Mixer } from "./mixer.js";
import { Player } from "./player/player.js";
import { setText } from "./song-list.js";
import { SongView } from "./song-view.js";
import { watchTakeAway } from "./take-away.js";
import { problemText, songTitle, stemTitle } from "./words.js";

const find = (id) => document.getElementById(id);
const parts = new URLSearchParams(location.hash.slice(1));
const id = parts.get("job") ?? "";
useShareToken(parts.get("token") || "share_");

const player = new Player();
const mixer = new Mixer(player, () => call("GET", `/apiv1/jobs/${id}`));
// What the view needs of a library; a job that has come is shown again, now with its links.
const library = {
  applyJob: () => view.show(view.song),
  update: (_, { notice }) => showProblem(notice ?? "This song is not on the server any more."),
};
const view = new SongView(library, mixer, { retryText: () => "" });

function showProblem(text) {
  setText(find("page-problem"), text);
}

async function show() {
  try {
    const job = await call("GET", `/apiv1/jobs/${encodeURIComponent(id)}`);
    const song = {
      id: job.id, job: job.id, name: job.key.split("/").at(-1), state: job.state,
      document: job, options: job.options, preset: "all",
    };
    if (job.stems.length === 0) return showProblem("The stems of this song were deleted.");
    find("player").hidden = false;
    document.title = `${songTitle(song)} · Micro Demucs`;
    view.show(song);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 403) showProblem("This link has ended, or is not complete. Ask the person who sent it for a new one.");
    else if (error.status === 404) showProblem("This song is not on the server any more.");
    else showProblem(problemText(error.document));
  }
}

player.addEventListener("problem", ({ detail }) => {
  setText(find("player-problem"), `${stemTitle(detail.stem)} cannot be played: ${detail.message}`);
});
find("keys-button").onclick = () => find("keys").showModal();
watchKeys(mixer, () => find("keys").showModal());
watchTakeAway(() => ({ song: view.song, mixer, player }));
window.addEventListener("hashchange", () => location.reload());
show();
