// The stems at another speed or pitch. One node of Signalsmith Stretch has the channels of all stems,
// so that they stay together; it comes before their volumes, so that these act at once.

import createNode from "../vendor/signalsmith-stretch/SignalsmithStretch.mjs";

import { SongClock } from "./song-clock.js";

createNode.moduleUrl = new URL("../vendor/signalsmith-stretch/SignalsmithStretch.mjs", import.meta.url).href;

const OPEN_MS = 20000; // a node whose WebAssembly is refused never answers
const SPARE_S = 0.3; // on a busy machine messages reach the node late: if possible, they have more time
const KEPT_S = 1; // so long what was played is kept: the sound may be behind, and the node looks back

// Return a node with so many channels. Raises an Error if this browser or site forbids it.
export async function openStretch(context, channels) {
  if (!context.audioWorklet) throw new Error("the address of this site must begin with https");
  const node = createNode(context, {
    numberOfInputs: 1, // not connected; the node fails without one
    numberOfOutputs: 1, outputChannelCount: [channels],
    channelCount: channels, channelCountMode: "explicit", channelInterpretation: "discrete",
  });
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error("this browser does not start it")), OPEN_MS);
  });
  const opened = await Promise.race([node, late]);
  opened.latencySeconds = await opened.latency();
  return opened;
}

// As Timeline, at another speed or pitch. What was appended is one input; a `turn` says in which
// frame which sample of the input plays, and how fast from there on. Its segments are {input, sample,
// length}.
export class StretchedTimeline extends SongClock {
  isStretched = true;

  constructor(node, clock, smoother, destination, sample, { speed, semitones }) {
    super(clock, smoother, destination, sample);
    this._node = node;
    this._speed = speed;
    this._semitones = semitones;
    this._turns = []; // {frame, input, speed}, in order
    this._endInput = 0;
    this._join = null; // {frame, sample}: where the next appended samples continue
    node.dropBuffers();
    node.schedule({ active: false }); // else it plays the next samples where it was, until they begin
    node.connect(this._voice);
  }

  // How many samples of the song are appended that have not been played.
  get ahead() {
    if (this._join) return Math.max(0, this._join.frame - this._now()) * this._speed;
    return Math.max(0, this._endInput - this._inputAt(this._now()));
  }

  append(buffer, sample) {
    if (this._join) {
      this._turn(this._join.frame, this._endInput + this._join.sample - sample);
      this._join = null;
    } else if (this._isLate()) this._turn(this._firstFrame(), this._endInput);
    const channels = Array.from(
      { length: buffer.numberOfChannels }, (_, number) => buffer.getChannelData(number).slice(),
    );
    this._node.addBuffers(channels, channels.map((samples) => samples.buffer));
    this._segments.push({ input: this._endInput, sample, length: buffer.length });
    this._endInput += buffer.length;
    this.endSample = sample + buffer.length;
    this._forget();
  }

  // Go on at another speed and pitch.
  change({ speed, semitones }) {
    this._speed = speed;
    this._semitones = semitones;
    if (!this._turns.length) return;
    const frame = Math.max(this._firstFrame(), this._turns.at(-1).frame); // a changed loop may be ahead
    this._turn(frame, this._inputAt(frame));
  }

  // Cancel the appended samples, except those of the next moments, and continue from `endSample`. It is
  // a little before their end, because the node looks back. Return false if a gap cannot be avoided: no
  // sample is left to play meanwhile, or `stop` lies in between.
  rewind(stop) {
    const frame = Math.max(this._firstFrame(), this._turns[0].frame);
    return this._rewindAt(frame + Math.ceil(SPARE_S * this._rate), stop) || this._rewindAt(frame, stop);
  }

  _rewindAt(frame, stop) {
    const sample = this._sampleAt(frame);
    const earlier = Math.max(0, sample - Math.ceil(this._node.latencySeconds * this._rate));
    const from = Math.min(earlier, this._sampleAt(this._now()));
    if (this._inputAt(frame) === this._endInput || (from <= stop && stop <= sample)) return false;
    this._join = { frame, sample };
    this.endSample = earlier;
    return true;
  }

  // Whether it has been rewound, and must be appended to before the sound ends.
  get isRewound() {
    return this._join !== null;
  }

  stop(delay = 0) {
    const { sample, end } = this._fadeOut(delay);
    this._node.schedule({ active: false, output: end });
    return sample;
  }

  _disconnect() {
    this._node.disconnect(this._voice);
    super._disconnect();
  }

  _turn(frame, input) {
    if (!this._turns.length) this._fadeIn(frame);
    const now = this._now();
    this._turns = this._turns.filter((turn) => turn.frame < now); // as the node does
    this._turns.push({ frame, input, speed: this._speed });
    this._node.schedule({
      active: true, output: frame / this._rate, input: input / this._rate,
      rate: this._speed, semitones: this._semitones,
    });
  }

  _inputAt(frame) {
    const turn = this._turns.findLast((one) => one.frame <= frame) ?? this._turns[0];
    if (!turn) return 0;
    const input = turn.input + Math.max(0, frame - turn.frame) * turn.speed;
    return Math.min(Math.round(input), this._endInput);
  }

  _sampleAt(frame) {
    const input = this._inputAt(frame);
    const segment = this._segments.findLast((one) => one.input <= input);
    if (!segment) return this._segments[0]?.sample ?? this.endSample;
    return segment.sample + Math.min(input - segment.input, segment.length);
  }

  _isLate() {
    return !this._turns.length || this.ahead < ((this._firstFrame() - this._now()) / 2) * this._speed;
  }

  // The first frame in which something can begin: the node needs what it plays some time before.
  _firstFrame() {
    return this._soon() + Math.ceil(this._node.latencySeconds * this._rate);
  }

  _forget() {
    const past = this._now() - KEPT_S * this._rate;
    const input = this._inputAt(past);
    while (this._segments.length > 1 && this._segments[1].input < input) this._segments.shift();
    this._node.dropBuffers(input / this._rate);
    const current = this._turns.findLastIndex((turn) => turn.frame <= past);
    if (current > 0) this._turns.splice(0, current);
  }
}
