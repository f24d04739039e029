// Plays the stems of one song together, on one clock, while they are separated and afterwards.

import { AudioClock } from "./audio-clock.js";
import { BLOCK_SAMPLES } from "./block-size.js";
import { Blocks } from "./blocks.js";
import { Decoding } from "./decoding.js";
import { Mixer } from "./mixer.js";
import { Smoother } from "./smoother.js";
import { Timeline } from "./timeline.js";

const ASSUMED_RATE = 44100; // samples a second, until a stem tells it
const AHEAD_S = 20; // of sound that is scheduled
const STRETCHED_AHEAD_S = 8; // of sound that is copied to the node that stretches it
const READY_S = 2; // of sound that is decoded before it is played
const SCHEDULE_MS = 100;
const IDLE_MS = 20000; // after which a paused player gives the sound card back

// Events: "change" if `state`, `duration` or `available` may have changed; "problem" if a stem
// cannot be played, with `detail` {stem, message}; "unstretched", with `detail` {message}, if speed
// and pitch cannot be changed here, and are those of the song again.
export class Player extends EventTarget {
  state = "paused"; // or "playing", "buffering" (will play), "ended"

  constructor() {
    super();
    this._decoding = null;
    this._context = null;
    this._clock = null;
    this._smoother = null;
    this._song = null;
    this._mixer = new Mixer();
    this._timeline = null;
    this._position = 0; // samples; while nothing is scheduled
    this._loop = null;
    this._stretch = { speed: 1, semitones: 0 };
    this._stretcher = null; // {context, channels, node, StretchedTimeline}; node: null until it is open
    this._timer = null;
    this._idleTimer = null;
  }

  // Replace the song. `stems` are {name, url, live, contentType, bytes}: `url` is that of a finished
  // file, `live` that of a stem which is being separated. `headers` go with requests to this site.
  // `refresh` returns the stems again, with new links, or a promise of them. Volumes, pans, mutes,
  // solos, the loop, speed and pitch are as at first.
  async load({ id, stems, duration = null, headers = {}, refresh = null }) {
    this._halt();
    this._decoding ??= new Decoding((event) => this._onEvent(event));
    this._mixer.close();
    this._mixer = new Mixer();
    this._loop = null;
    this._stretch = { speed: 1, semitones: 0 };
    this._position = 0;
    const names = stems.map((stem) => stem.name);
    this._song = {
      id, headers, refresh, names,
      links: linksOf(stems, headers),
      blocks: new Blocks(this._decoding, names),
      rate: 0,
      total: null, // samples
      duration, // s, as long as `total` is not known
      available: 0, // samples
      input: null, // the AudioNode that takes the blocks
    };
    this._decoding.open(this._song.links);
    this._setState("paused");
    this._update();
  }

  // The job has finished: go on from its files.
  finish({ stems, duration = null }) {
    const song = this._song;
    if (!song) return;
    song.links = linksOf(stems, song.headers);
    song.duration = duration ?? song.duration;
    this._decoding.replace(song.links);
    for (const [name, link] of Object.entries(song.links)) {
      if (link.isGrowing) this._dropStem(name, "It is missing");
    }
    this._changed();
  }

  // Play from the position. Call it in a handler of a click or key, or browsers keep it silent.
  play() {
    if (!this._song || this.isPlaying) return;
    if (this.state === "ended") this._position = 0;
    this._song.blocks.retry();
    clearTimeout(this._idleTimer);
    this._openContext();
    this._context.resume();
    this._setState("buffering");
    this._timer = setInterval(() => this._update(), SCHEDULE_MS);
    this._update();
  }

  pause() {
    if (!this.isPlaying) return;
    this._halt();
    this._setState("paused");
  }

  // Go to this moment, in seconds.
  seek(seconds) {
    if (!this._song) return;
    const last = this._song.total ?? Infinity;
    const sample = Math.round(seconds * (this._song.rate || ASSUMED_RATE));
    this._stopTimeline();
    this._position = Math.max(0, Math.min(sample, last));
    if (this.state === "ended") this._setState("paused");
    if (this.isPlaying) this._setState("buffering");
    this._update();
  }

  // Repeat what is between two moments, in seconds, once the position is before the second.
  setLoop(loop) {
    const rate = this._song?.rate || ASSUMED_RATE;
    const samples = loop && { from: Math.round(loop.from * rate), to: Math.round(loop.to * rate) };
    if (samples && samples.to - samples.from < 1) throw new RangeError("The loop is empty");
    this._loop = samples;
    if (this._timeline?.rewind(samples?.to ?? Infinity) === false) this._restart();
    this._update();
    if (this._timeline?.isRewound) { // the samples are not decoded any more
      this._restart();
      this._update();
    }
  }

  // Play so many times as fast, and so many semitones higher. At 1 and 0 every sample is the song's.
  setStretch({ speed, semitones }) {
    if (speed === this._stretch.speed && semitones === this._stretch.semitones) return;
    this._stretch = { speed, semitones };
    if (this._isStretched) import("./stretch.js").catch(() => {}); // _openStretcher tells
    if (!this._timeline) return;
    if (this._isStretched && this._timeline.isStretched) this._timeline.change(this._stretch);
    else if (!this._isStretched || this._openStretcher()) this._restart();
    this._update();
  }

  get isPlaying() {
    return this.state === "playing" || this.state === "buffering";
  }

  // s, as heard
  get position() {
    const samples = this._timeline ? this._timeline.position() : this._position;
    return samples / (this._song?.rate || ASSUMED_RATE);
  }

  // s; null if it is not known yet
  get duration() {
    const { total, rate, duration } = this._song ?? {};
    return total && rate ? total / rate : duration ?? null;
  }

  // How many seconds from the beginning can be played by now.
  get available() {
    const { total, rate, available } = this._song ?? {};
    if (!rate) return 0;
    return (this._isGrowing() ? available : total ?? available) / rate;
  }

  setVolume(name, volume) {
    this._mixer.set(name, { volume });
  }

  setPan(name, pan) {
    this._mixer.set(name, { pan });
  }

  setMuted(name, muted) {
    this._mixer.set(name, { muted });
  }

  setSolo(name, solo) {
    this._mixer.set(name, { solo });
  }

  level(name) {
    return this._mixer.level(name);
  }

  // Return this mix as a WAV file, from one moment to another (in seconds; null: the end), with the
  // song's title and artist, if they are given. It does not matter what is played meanwhile.
  async renderMix({ from = 0, to = null, title = "", artist = "" } = {}) {
    const song = this._song;
    const { writeMix } = await import("./mix-file.js"); // few need it
    const sample = (seconds) => Math.round(seconds * (song.rate || ASSUMED_RATE));
    return writeMix({
      links: song.links,
      audible: (name) => this._mixer.audible(name),
      renew: () => this._newLinks(song),
      from: sample(from),
      to: to === null ? null : sample(to),
      title,
      artist,
    });
  }

  // Stop, and free all.
  close() {
    this._halt();
    this._decoding?.close();
    this._context?.close();
    this._decoding = this._context = this._song = null;
  }

  _onEvent(event) {
    const song = this._song;
    if (event.kind === "format") this._takeFormat(event);
    else if (event.kind === "block") {
      song.blocks.add(event);
      song.available = Math.max(song.available, (event.index + 1) * BLOCK_SAMPLES);
    } else if (event.kind === "available") {
      song.available = Math.max(song.available, event.samples);
      this._changed();
    } else if (event.kind === "end") {
      song.blocks.end(event);
      if (!song.total) song.total = event.total;
    } else if (event.kind === "expired") this._refresh(song);
    else this._dropStem(event.name, event.message);
    this._update();
  }

  _takeFormat({ name, rate, total }) {
    const song = this._song;
    if (song.rate && song.rate !== rate) {
      this._dropStem(name, `It has ${rate} samples a second, others have ${song.rate}`);
      return;
    }
    if (!song.rate) this._assumeRate(rate);
    song.rate = rate;
    song.blocks.setRate(rate);
    if (total) song.total = Math.max(song.total ?? 0, total);
    this._changed();
  }

  // Positions that were set before the rate was known are of ASSUMED_RATE.
  _assumeRate(rate) {
    const scaled = (sample) => Math.round((sample * rate) / ASSUMED_RATE);
    this._position = scaled(this._position);
    if (this._loop) this._loop = { from: scaled(this._loop.from), to: scaled(this._loop.to) };
  }

  _dropStem(name, message) {
    const { blocks, names } = this._song;
    if (blocks.failed.has(name)) return;
    blocks.drop(name);
    this.dispatchEvent(new CustomEvent("problem", { detail: { stem: name, message } }));
    if (names.every((other) => blocks.failed.has(other))) this.pause();
  }

  async _refresh(song) {
    try {
      const links = await this._newLinks(song);
      if (song === this._song) this._decoding.replace(links);
    } catch (error) {
      if (song === this._song) this._decoding.fail(error.message);
    }
  }

  // Return new links, asked for once for all stems that need them at the same time.
  async _newLinks(song) {
    if (!song.refresh) throw new Error("The link of this stem has expired");
    song.refreshing ??= Promise.resolve(song.refresh()).finally(() => { song.refreshing = null; });
    song.links = linksOf(await song.refreshing, song.headers);
    return song.links;
  }

  // Ask for what is needed next, and schedule what is ready.
  _update() {
    const song = this._song;
    if (!song) return;
    // First a little of all stems, so that the first sound comes soon.
    const ahead = this._timeline?.isStretched ? STRETCHED_AHEAD_S : AHEAD_S;
    const pieces = this._plan(this._timeline ? ahead : READY_S);
    song.blocks.require(pieces.map((piece) => piece.index));
    if (!this.isPlaying || !song.rate) return;
    this._openContext();
    if (this._isStretched && !this._timeline && !this._openStretcher()) return;
    for (const { index, from, to } of pieces) {
      const buffer = song.blocks.get(index);
      if (!buffer) break;
      this._timeline ??= this._createTimeline();
      this._timeline.append(cut(buffer, from - index * BLOCK_SAMPLES, to - index * BLOCK_SAMPLES), from);
    }
    this._showProgress();
  }

  // Return the next `seconds` that are not scheduled yet, as {index, from, to}: the block and the
  // samples of the song that are played of it.
  _plan(seconds) {
    const { rate, total, blocks } = this._song;
    const most = Math.min(seconds * (rate || ASSUMED_RATE), blocks.limit * 0.6 * BLOCK_SAMPLES);
    const turn = this._loop ? Math.min(this._loop.to, total ?? Infinity) : -1;
    const after = (sample) => (sample === turn ? this._loop.from : sample);
    // What is scheduled may end where the loop does; a position there is behind the loop.
    let from = this._timeline ? after(this._timeline.endSample) : this._position;
    let ahead = this._timeline ? this._timeline.ahead : 0;
    const pieces = [];
    while (ahead < most && from < (total ?? Infinity)) {
      const index = Math.floor(from / BLOCK_SAMPLES);
      let to = Math.min((index + 1) * BLOCK_SAMPLES, total ?? Infinity);
      if (from < turn) to = Math.min(to, turn);
      pieces.push({ index, from, to });
      ahead += to - from;
      from = after(to);
    }
    return pieces;
  }

  // Tell apart playing, waiting for samples, and the end.
  _showProgress() {
    const { total } = this._song;
    const isAtEnd = total !== null && (this._timeline?.endSample ?? this._position) >= total;
    if (this._timeline?.ahead) this._setState("playing");
    else if (isAtEnd) {
      this._halt();
      this._setState("ended");
    } else this._setState("buffering");
  }

  // Make the context and its nodes, as the song needs them.
  _openContext() {
    const song = this._song;
    const sampleRate = song.rate || ASSUMED_RATE;
    if (this._context && this._context.sampleRate !== sampleRate) {
      this._context.close();
      this._context = null;
      song.input = null;
    }
    if (!this._context) {
      this._context = new AudioContext({ latencyHint: "interactive", sampleRate });
      this._clock = new AudioClock(this._context);
      this._smoother = new Smoother(this._context);
    }
    if (song.input?.context !== this._context) {
      song.input = this._mixer.connect(this._smoother, song.names);
    }
  }

  _createTimeline() {
    const start = [this._clock, this._smoother, this._song.input, this._position];
    if (!this._isStretched) return new Timeline(...start);
    const { node, StretchedTimeline } = this._stretcher;
    return new StretchedTimeline(node, ...start, this._stretch);
  }

  get _isStretched() {
    return this._stretch.speed !== 1 || this._stretch.semitones !== 0;
  }

  // Return whether speed and pitch can be changed at once; if not, load what does it.
  _openStretcher() {
    const context = this._context;
    const channels = this._song.names.length * 2;
    const known = this._stretcher;
    if (known?.context === context && known.channels === channels) return Boolean(known.node);
    const stretcher = { context, channels, node: null, StretchedTimeline: null };
    this._stretcher = stretcher;
    import("./stretch.js").then(async ({ openStretch, StretchedTimeline }) => {
      stretcher.StretchedTimeline = StretchedTimeline;
      stretcher.node = await openStretch(context, channels);
    }).then(() => this._onStretcher(stretcher, ""), (error) => this._onStretcher(stretcher, error.message));
    return false;
  }

  _onStretcher(stretcher, message) {
    if (stretcher !== this._stretcher) return;
    if (message) {
      this._stretcher = null; // so that it is tried again
      this._stretch = { speed: 1, semitones: 0 };
      this.dispatchEvent(new CustomEvent("unstretched", { detail: { message } }));
    } else if (this._isStretched && this._timeline && !this._timeline.isStretched) this._restart();
    this._update();
  }

  // Schedule everything again from where it is. What is not stretched plays on until the node that
  // stretches can begin.
  _restart() {
    if (!this._timeline) return;
    const isHandedOver = this._isStretched && !this._timeline.isStretched;
    this._stopTimeline(isHandedOver ? this._stretcher.node.latencySeconds : 0);
    if (this.isPlaying) this._setState("buffering");
  }

  _isGrowing() {
    return Object.values(this._song.links).some((link) => link.isGrowing);
  }

  // Be silent, and stay where it was.
  _halt() {
    this._stopTimeline();
    clearInterval(this._timer);
    clearTimeout(this._idleTimer);
    this._idleTimer = setTimeout(() => this._context?.suspend(), IDLE_MS);
  }

  _stopTimeline(delay = 0) {
    if (!this._timeline) return;
    this._position = this._timeline.stop(delay);
    this._timeline = null;
  }

  _setState(state) {
    if (state === this.state) return;
    this.state = state;
    this._changed();
  }

  _changed() {
    this.dispatchEvent(new Event("change"));
  }
}

// Return the links that StemSet takes, by name.
function linksOf(stems, headers) {
  return Object.fromEntries(stems.map(({ name, url, live, bytes }) => {
    const absolute = new URL(url ?? live, document.baseURI).href;
    return [name, { url: absolute, isGrowing: !url, bytes: url ? bytes : undefined, headers }];
  }));
}

// Return the samples `from` to before `to` of a buffer, which is returned itself if these are all.
function cut(buffer, from, to) {
  if (from === 0 && to === buffer.length) return buffer;
  const { numberOfChannels, sampleRate } = buffer;
  const piece = new AudioBuffer({ length: to - from, numberOfChannels, sampleRate });
  for (let channel = 0; channel < numberOfChannels; channel++) {
    piece.copyToChannel(buffer.getChannelData(channel).subarray(from, to), channel);
  }
  return piece;
}
