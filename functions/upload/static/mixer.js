// The stems of one song, played together: each can be muted, heard alone, made softer.

const LISTEN_MS = 200;
const JUMP_S = 0.25; // further apart than this, a stem jumps; else it hurries or dawdles
const PULL = 0.5; // of the distance, per second
const MOST = 0.03; // what of a changed speed nobody hears

// Fill `root` (a .mixer) with the job's stems.
export function mix(root, job, name) {
  const play = root.querySelector(".play");
  const seek = root.querySelector(".seek");
  const time = root.querySelector(".time");
  const stems = job.stems.map((stem) => row(stem, name));
  const sounds = stems.map((stem) => stem.sound);
  const [lead, ...others] = sounds;
  let timer = 0;
  let isSeeking = false;

  root.setAttribute("aria-label", `Stems of ${name}`);
  root.querySelector(".stems").replaceChildren(...stems.map((stem) => stem.element));
  root.hidden = false;

  const show = () => {
    const at = isSeeking ? Number(seek.value) : lead.currentTime;
    seek.max = lead.duration || 1;
    if (!isSeeking) seek.value = at;
    seek.setAttribute("aria-valuetext", clock(at));
    time.textContent = `${clock(at)} / ${clock(lead.duration || 0)}`;
  };

  const together = () => {
    for (const sound of others) {
      const behind = lead.currentTime - sound.currentTime;
      if (Math.abs(behind) > JUMP_S) sound.currentTime = lead.currentTime;
      sound.playbackRate = 1 + Math.max(-MOST, Math.min(MOST, behind * PULL));
    }
  };

  const pause = () => {
    clearInterval(timer);
    for (const sound of sounds) sound.pause();
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  };

  const start = async () => {
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    await Promise.all(sounds.map(ready));
    if (play.getAttribute("aria-pressed") === "false") return; // paused while it was loading
    for (const sound of others) sound.currentTime = lead.currentTime;
    await Promise.all(sounds.map((sound) => sound.play())).catch(pause);
    timer = setInterval(together, LISTEN_MS);
  };

  const hear = () => {
    const anyAlone = stems.some((stem) => stem.solo);
    for (const stem of stems) {
      stem.sound.muted = stem.mute || (anyAlone && !stem.solo);
      stem.element.classList.toggle("silent", stem.sound.muted);
    }
  };

  play.onclick = () => (play.getAttribute("aria-pressed") === "true" ? pause() : start());
  seek.oninput = () => { isSeeking = true; show(); };
  seek.onchange = () => {
    for (const sound of sounds) sound.currentTime = Number(seek.value);
    isSeeking = false;
  };
  lead.onloadedmetadata = lead.ontimeupdate = show;
  lead.onended = pause;
  for (const stem of stems) {
    for (const what of ["mute", "solo"]) {
      const button = stem.element.querySelector(`.${what}`);
      button.onclick = () => {
        stem[what] = !stem[what];
        button.setAttribute("aria-pressed", String(stem[what]));
        hear();
      };
    }
    stem.element.querySelector(".volume").oninput = (moved) => {
      stem.sound.volume = Number(moved.target.value);
    };
  }
  show();
}

function row(stem, song) {
  const template = document.getElementById("stem-template");
  const element = template.content.firstElementChild.cloneNode(true);
  const sound = element.querySelector("audio");
  const title = stem.name.replaceAll("_", " ");
  const download = element.querySelector(".download");
  element.dataset.stem = stem.name;
  element.querySelector(".stem-name").textContent = title;
  element.querySelector(".mute").setAttribute("aria-label", `Mute ${title}`);
  element.querySelector(".solo").setAttribute("aria-label", `Only ${title}`);
  element.querySelector(".volume").setAttribute("aria-label", `Volume of ${title}`);
  sound.src = stem.download;
  sound.onerror = () => { element.querySelector(".stem-name").textContent = `${title} (cannot be played)`; };
  download.href = stem.download;
  download.setAttribute("aria-label", `Download ${title} of ${song}`);
  return { element, sound, mute: false, solo: false };
}

// Resolves when `sound` can play on, or never will.
function ready(sound) {
  sound.preload = "auto";
  if (sound.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA || sound.error) return undefined;
  return new Promise((go) => {
    sound.addEventListener("canplay", go, { once: true });
    sound.addEventListener("error", go, { once: true });
  });
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
