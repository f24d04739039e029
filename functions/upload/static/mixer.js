// The mixer of the chosen song: transport, ruler with the loop, one strip a stem. Its settings are
// remembered for each song.

import { Problem, authorization } from "./api.js";
import { Bend } from "./bend.js";
import { presetOf, sourcesOf } from "./options.js";
import { Peaks } from "./peaks.js";
import { Ruler } from "./ruler.js";
import { setText } from "./song-list.js";
import { storage } from "./storage.js";
import { Strip } from "./strip.js";
import { clearTakeAway } from "./take-away.js";
import { formatTime, problemText, stemTitle } from "./words.js";

const TYPES = { mp3: "audio/mpeg", flac: "audio/flac", wav: "audio/wav" };
const DJ_STEMS = ["bass,drums,other,vocals", "bass,drums,guitar,other,piano,vocals"]; // of which a stem.mp4 is made
const JUMP_S = 5;
const MIN_LOOP_S = 0.2;

const root = document.getElementById("mixer");
const find = (id) => document.getElementById(id);

export class Mixer {
  #player;
  #fetchJob;
  #song = null;
  #loaded = ""; // job id and whether it is finished
  #strips = [];
  #peaks = null;
  #settings = null; // {stems: {name: {…}}, loop: {from, to, isOn} | null, speed, semitones}
  #ruler;
  #bend;
  #frame = 0;
  #isSeeking = false;
  #isArmed = false; // plays as soon as there is something to play
  #deck = new BroadcastChannel("deck"); // only one tab plays
  #hasPlayed = false;

  // `fetchJob(id)` returns a job with new links to its stems: they expire.
  constructor(player, fetchJob) {
    this.#player = player;
    this.#fetchJob = fetchJob;
    this.#ruler = new Ruler(find("ruler"), {
      onSeek: (seconds) => this.seek(seconds),
      onLoop: (from, to) => this.#setLoop({ from, to: Math.max(to, from + MIN_LOOP_S), isOn: true }),
    });
    this.#bend = new Bend((change) => {
      Object.assign(this.#settings, change);
      this.#apply();
    });
    find("play").onclick = () => this.toggle();
    find("loop").onclick = () => this.toggleLoop();
    const seek = find("seek");
    seek.oninput = () => {
      this.#isSeeking = true;
      this.#render();
    };
    seek.onchange = () => {
      this.#isSeeking = false;
      this.seek(Number(seek.value));
    };
    seek.onkeydown = (event) => {
      const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      event.stopPropagation();
      this.jump(way);
    };
    player.addEventListener("change", () => {
      if (player.isPlaying && !this.#hasPlayed) this.#deck.postMessage("playing");
      this.#hasPlayed = player.isPlaying;
      this.#animate();
    });
    this.#deck.onmessage = () => this.pause();
    player.addEventListener("unstretched", ({ detail }) => {
      setText(find("player-problem"), `Speed and pitch cannot be changed: ${detail.message}.`);
      if (!this.#settings) return;
      Object.assign(this.#settings, { speed: 1, semitones: 0 });
      this.#bend.show(this.#settings);
    });
    new ResizeObserver(() => this.#draw()).observe(find("stems"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  // Whether it plays, or will.
  get isPlaying() {
    return this.#isArmed || this.#player.isPlaying;
  }

  // What is heard, by stem: {volume, pan}. Without what the server does not have: speed and pitch.
  get audible() {
    const isAnySolo = this.#strips.some((strip) => strip.settings.solo);
    return Object.fromEntries(this.#strips.map(({ name, settings: { volume, pan, muted, solo } }) =>
      [name, { volume: muted || (isAnySolo && !solo) ? 0 : volume, pan }]));
  }

  // Whether the song is played at another speed or pitch than its own.
  get isBent() {
    return this.#settings.speed !== 1 || this.#settings.semitones !== 0;
  }

  // Show a song; `job` is its document with links to its finished stems, or null before.
  show(song, job) {
    const isOther = this.#song?.id !== song.id;
    if (isOther) {
      this.clear();
      this.#settings = readSettings(song);
      this.#bend.show(this.#settings, 0);
    }
    this.#song = song;
    const jobId = song.document?.id ?? "";
    const names = job ? job.stems.map((stem) => stem.name) : expectedStems(song);
    if (isOther || names.join() !== this.#strips.map((strip) => strip.name).join()) this.#build(names);
    for (const strip of this.#strips) {
      strip.setDownload(job?.stems.find((stem) => stem.name === strip.name)?.download ?? "");
    }
    const isLive = !job && song.state === "running";
    const isEmpty = song.state === "done" && names.length === 0; // its stems were deleted
    const isReady = job && !isEmpty;
    if (!jobId || isEmpty || !this.#loaded.startsWith(`${jobId} `)) this.#unload();
    if (song.state !== "done" && this.#loaded === `${jobId} done`) this.#unload(); // it is made again
    if (isEmpty) this.pause();
    if (isReady || isLive) this.#load(jobId, names, job);
    find("play").disabled = isEmpty;
    find("take-away").hidden = !isReady;
    find("take-away").querySelector("[data-take='stem.mp4']").hidden = !DJ_STEMS.includes([...names].sort().join());
    const isAgain = isLive && this.#peaks?.isFinished;
    if (jobId && (isAgain || this.#peaks?.jobId !== jobId)) this.#replacePeaks(new Peaks(jobId, () => this.#draw()));
    if (isReady || isLive) this.#peaks?.update(Boolean(job));
    this.#render();
  }

  // Stop playing; no song is chosen.
  clear() {
    this.pause();
    this.#replacePeaks(null);
    this.#song = this.#settings = null;
    this.#strips = [];
    this.#loaded = "";
    this.#isSeeking = false;
    find("play").disabled = true;
    setText(find("player-problem"), "");
    clearTakeAway();
  }

  toggle() {
    if (find("play").disabled) return;
    if (this.isPlaying) this.pause();
    else this.#play();
  }

  pause() {
    this.#isArmed = false;
    this.#player.pause();
    this.#render();
  }

  seek(seconds) {
    if (!this.#loaded) return;
    const end = this.#player.available || this.#seconds;
    this.#player.seek(Math.min(Math.max(0, seconds), end));
    this.#animate();
  }

  jump(way) {
    this.seek(this.#player.position + way * JUMP_S);
  }

  toggleStem(number, setting) {
    this.#strips[number - 1]?.toggle(setting);
  }

  toggleLoop() {
    if (!this.#loaded || !this.#seconds) return;
    const loop = this.#settings.loop ?? { from: 0, to: this.#seconds, isOn: false };
    this.#setLoop({ ...loop, isOn: !loop.isOn });
  }

  loopFromHere() {
    if (!this.#loaded) return;
    const from = this.#player.position;
    if (from > this.#seconds - MIN_LOOP_S) return;
    const end = this.#settings.loop?.to ?? this.#seconds;
    this.#setLoop({ from, to: end > from + MIN_LOOP_S ? end : this.#seconds, isOn: true });
  }

  loopToHere() {
    if (!this.#loaded) return;
    const to = this.#player.position;
    if (to < MIN_LOOP_S) return;
    const start = this.#settings.loop?.from ?? 0;
    this.#setLoop({ from: start < to - MIN_LOOP_S ? start : 0, to, isOn: true });
  }

  // Change speed or pitch by so many steps.
  bend(steps) {
    if (this.#settings) this.#bend.step(steps);
  }

  get #seconds() {
    const played = this.#loaded && this.#player.duration;
    return played || this.#song?.document?.song?.seconds || this.#peaks?.seconds || 0;
  }

  #build(names) {
    this.#strips = names.map((name) => {
      this.#settings.stems[name] ??= {
        volume: 1, pan: 0, solo: false, muted: presetOf(this.#song).muted.includes(name),
      };
      return new Strip(name, this.#settings.stems[name], {
        onChange: () => this.#apply(),
        onSeek: (share) => this.seek(share * this.#seconds),
        onDownload: () => this.#download(name),
      });
    });
    find("stems").replaceChildren(...this.#strips.map((strip) => strip.element));
    this.#draw();
  }

  #load(jobId, names, job) {
    const key = `${jobId} ${job ? "done" : "live"}`;
    if (key === this.#loaded) return;
    const sources = (latest) => names.map((name) => this.#source(jobId, name, latest));
    const stems = sources(job);
    const refresh = async () => sources(await this.#fetchJob(jobId));
    const duration = job?.song?.seconds ?? this.#song.document?.song?.seconds;
    if (job && this.#loaded === `${jobId} live`) this.#player.finish({ stems, duration });
    else this.#player.load({ id: jobId, stems, duration, headers: authorization(), refresh });
    this.#loaded = key;
    this.#apply();
    this.#setLoop(this.#settings.loop);
    if (this.#isArmed) this.#play();
  }

  #unload() {
    this.#loaded = "";
    this.#player.pause();
  }

  // Play, or wait for something to play.
  #play() {
    setText(find("player-problem"), ""); // stems that have failed are tried again
    this.#isArmed = !this.#loaded;
    if (this.#loaded) this.#player.play();
    this.#render();
  }

  // Download a stem by a new link: the one on the page expires, and its stem may have been deleted.
  async #download(name) {
    const song = this.#song;
    let text = "";
    try {
      const job = await this.#fetchJob(song.document.id);
      const stem = job.stems.find((one) => one.name === name);
      if (stem) follow(stem.download);
      else text = `${stemTitle(name)} is not on the server any more.`;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      text = `${stemTitle(name)} cannot be downloaded: ${problemText(error.document)}`;
    }
    if (this.#song?.id === song.id) setText(find("player-problem"), text);
  }

  #source(jobId, name, job) {
    const stem = job?.stems.find((one) => one.name === name);
    const suffix = stem?.file.split(".").at(-1) ?? this.#song.document?.options?.format ?? "mp3";
    return {
      name,
      url: stem?.download,
      live: `/apiv1/jobs/${jobId}/live/${name}`,
      contentType: TYPES[suffix],
      bytes: stem?.size,
    };
  }

  // Apply all settings to the player and keep them.
  #apply() {
    const isAnySolo = this.#strips.some((strip) => strip.settings.solo);
    for (const { name, settings } of this.#strips) {
      this.#player.setVolume(name, settings.volume);
      this.#player.setPan(name, settings.pan);
      this.#player.setMuted(name, settings.muted);
      this.#player.setSolo(name, settings.solo);
    }
    for (const strip of this.#strips) strip.render(isAnySolo);
    const { speed, semitones } = this.#settings;
    if (this.#loaded) this.#player.setStretch({ speed, semitones });
    this.#bend.show(this.#settings, Number(this.#song.document?.song?.tags?.bpm));
    this.#keep();
  }

  #setLoop(loop) {
    this.#settings.loop = loop;
    const isLooping = loop?.isOn && loop.to > loop.from;
    this.#player.setLoop(isLooping ? { from: loop.from, to: loop.to } : null);
    this.#keep();
    this.#render();
  }

  #keep() {
    try {
      storage.setItem(`mix:${this.#song.id}`, JSON.stringify(this.#settings));
    } catch {
      // Full: the settings last as long as the tab.
    }
  }

  #replacePeaks(peaks) {
    this.#peaks?.close();
    this.#peaks = peaks;
  }

  #draw() {
    const peaks = this.#peaks ?? new Peaks("");
    for (const strip of this.#strips) {
      peaks.draw(strip.canvas, strip.name, getComputedStyle(strip.element).getPropertyValue("--stem").trim());
    }
    this.#ruler.draw();
    this.#render();
  }

  #animate() {
    if (this.#frame) return;
    const step = () => {
      this.#frame = 0;
      this.#render();
      let isMoving = this.#player.isPlaying;
      for (const strip of this.#strips) {
        const level = this.#player.isPlaying ? this.#player.level(strip.name) : { peak: 0, rms: 0 };
        isMoving = strip.showLevel(level ?? { peak: 0, rms: 0 }) || isMoving;
      }
      if (isMoving) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #render() {
    const seconds = this.#seconds;
    const seek = find("seek");
    const played = this.#loaded ? Math.min(this.#player.position, seconds || Infinity) : 0;
    const position = this.#isSeeking ? Number(seek.value) : played;
    seek.max = seconds || 1;
    if (!this.#isSeeking) seek.value = position;
    seek.setAttribute("aria-valuetext", `${formatTime(position)} of ${formatTime(seconds)}`);
    setText(find("time"), formatTime(position, 1));
    setText(find("duration"), formatTime(seconds));
    root.style.setProperty("--position", seconds ? position / seconds : 0);
    root.classList.toggle("playing", this.isPlaying);
    root.classList.toggle("buffering", this.#isArmed || this.#player.state === "buffering");
    setText(find("play").querySelector(".hidden"), this.isPlaying ? "Pause" : "Play");
    const loop = this.#settings?.loop;
    find("loop").setAttribute("aria-pressed", String(Boolean(loop?.isOn)));
    root.classList.toggle("has-loop", Boolean(loop?.isOn && seconds));
    root.style.setProperty("--loop-from", loop && seconds ? loop.from / seconds : 0);
    root.style.setProperty("--loop-to", loop && seconds ? loop.to / seconds : 0);
    this.#ruler.show(seconds, loop);
  }
}

// Return the stems that a job has or will have, as far as it and its options say.
function expectedStems(song) {
  const { two_stems: stem, stems, model } = song.document?.options ?? song.options ?? {};
  if (song.document?.stems?.length) return song.document.stems.map(({ name }) => name);
  if (stem) return [stem, `no_${stem}`];
  if (stems) return stems;
  return sourcesOf(song.document?.model || model);
}

function readSettings(song) {
  const settings = { stems: {}, loop: null, speed: 1, semitones: 0 };
  try {
    return { ...settings, ...JSON.parse(storage.getItem(`mix:${song.id}`)) };
  } catch {
    return settings;
  }
}

function follow(url) {
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  link.click();
}
