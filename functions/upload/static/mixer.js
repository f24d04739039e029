// The mixer of one song: plays its stems together; each can be muted, soloed, or made softer.

const SYNC_MS = 200;
const MAX_DRIFT_S = 0.25; // a stem that is further off jumps; one that is closer changes its speed
const CORRECTION = 0.5; // share of the drift that is corrected per second
const MAX_SPEED_CHANGE = 0.03; // a larger change of speed would be audible

// Fill `root` (a .mixer element) with the job's stems.
export function showMixer(root, job, songName) {
  const play = root.querySelector(".play");
  const seek = root.querySelector(".seek");
  const time = root.querySelector(".time");
  const stems = job.stems.map((stem) => createStem(stem, songName));
  const players = stems.map((stem) => stem.player);
  const [leader, ...followers] = players;
  let timer = 0;
  let isSeeking = false;

  root.setAttribute("aria-label", `Stems of ${songName}`);
  root.querySelector(".stems").replaceChildren(...stems.map((stem) => stem.element));
  root.hidden = false;

  const showPosition = () => {
    const position = isSeeking ? Number(seek.value) : leader.currentTime;
    seek.max = leader.duration || 1;
    if (!isSeeking) seek.value = position;
    seek.setAttribute("aria-valuetext", formatTime(position));
    time.textContent = `${formatTime(position)} / ${formatTime(leader.duration || 0)}`;
  };

  const synchronise = () => {
    for (const player of followers) {
      const drift = leader.currentTime - player.currentTime;
      const change = Math.max(-MAX_SPEED_CHANGE, Math.min(MAX_SPEED_CHANGE, drift * CORRECTION));
      if (Math.abs(drift) > MAX_DRIFT_S) player.currentTime = leader.currentTime;
      player.playbackRate = 1 + change;
    }
  };

  const pause = () => {
    clearInterval(timer);
    for (const player of players) player.pause();
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };

  const start = async () => {
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    await Promise.all(players.map(loaded));
    if (play.getAttribute("aria-pressed") === "false") return; // paused while it was loading
    for (const player of followers) player.currentTime = leader.currentTime;
    await Promise.all(players.map((player) => player.play())).catch(pause);
    timer = setInterval(synchronise, SYNC_MS);
  };

  const applyMutes = () => {
    const anySolo = stems.some((stem) => stem.solo);
    for (const stem of stems) {
      stem.player.muted = stem.mute || (anySolo && !stem.solo);
      stem.element.classList.toggle("silent", stem.player.muted);
    }
  };

  play.onclick = () => (play.getAttribute("aria-pressed") === "true" ? pause() : start());
  seek.oninput = () => { isSeeking = true; showPosition(); };
  seek.onchange = () => {
    for (const player of players) player.currentTime = Number(seek.value);
    isSeeking = false;
  };
  leader.onloadedmetadata = leader.ontimeupdate = showPosition;
  leader.onended = pause;
  for (const stem of stems) {
    for (const property of ["mute", "solo"]) {
      const button = stem.element.querySelector(`.${property}`);
      button.onclick = () => {
        stem[property] = !stem[property];
        button.setAttribute("aria-pressed", String(stem[property]));
        applyMutes();
      };
    }
    stem.element.querySelector(".volume").oninput = (event) => {
      stem.player.volume = Number(event.target.value);
    };
  }
  showPosition();
}

function createStem(stem, songName) {
  const template = document.getElementById("stem-template");
  const element = template.content.firstElementChild.cloneNode(true);
  const player = element.querySelector("audio");
  const label = element.querySelector(".stem-name");
  const title = stem.name.replaceAll("_", " ");
  const download = element.querySelector(".download");
  element.dataset.stem = stem.name;
  label.textContent = title;
  element.querySelector(".mute").setAttribute("aria-label", `Mute ${title}`);
  element.querySelector(".solo").setAttribute("aria-label", `Solo ${title}`);
  element.querySelector(".volume").setAttribute("aria-label", `Volume of ${title}`);
  player.src = stem.download;
  player.onerror = () => { label.textContent = `${title} (cannot be played here)`; };
  download.href = stem.download;
  download.setAttribute("aria-label", `Download ${title} of ${songName}`);
  return { element, player, mute: false, solo: false };
}

// Resolve when `player` has enough audio to play, or has failed.
function loaded(player) {
  player.preload = "auto";
  if (player.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA || player.error) return undefined;
  return new Promise((resolve) => {
    player.addEventListener("canplay", resolve, { once: true });
    player.addEventListener("error", resolve, { once: true });
  });
}

function formatTime(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
