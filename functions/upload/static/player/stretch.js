// The stems at another speed or pitch. One node of Signalsmith Stretch has the channels of all stems,
// so that they stay together; it comes before their volumes, so that these act at once.

import createNode from "../vendor/signalsmith-stretch/SignalsmithStretch.mjs";

createNode.moduleUrl = new URL("../vendor/signalsmith-stretch/SignalsmithStretch.mjs", import.meta.url).href;

const OPEN_MS = 20000; // a node whose WebAssembly is refused never answers
const LEAD_S = 0.01; // as that of Timeline, beside the node's own
const FADE_S = 0.005;
const KEPT_S = 1; // of what was played: the node looks back

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
// frame which sample of the input plays, and how fast from there on.
export class StretchedTimeline {
  constructor(node, destination, sample, { speed, semitones }) {
    this.endSample = sample; // the next one to be appended
    this.isStretched = true;
    this._node = node;
    this._context = node.context;
    this._rate = node.context.sampleRate;
    this._speed = speed;
    this._semitones = semitones;
    this._segments = []; // {input, sample, length}, in order
    this._turns = []; // {frame, input, speed}, in order
    this._endInput = 0;
    this._voice = new GainNode(this._context, { gain: 0, channelInterpretation: "discrete" });
    node.dropBuffers();
    node.connect(this._voice).connect(destination);
  }

  // How many samples of the song are appended that have not been played.
  get ahead() {
    return Math.max(0, this._endInput - this._inputAt(this._now()));
  }

  append(buffer, sample) {
    if (this._isLate()) this._turn(this._now() + this._lead(), this._endInput);
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
    const frame = Math.max(this._now() + this._lead(), this._turns[0].frame);
    this._turn(frame, this._inputAt(frame));
  }

  position() {
    return this._sampleAt(this._now() - Math.round((this._context.outputLatency || 0) * this._rate));
  }

  stopPosition() {
    return this._sampleAt(this._now());
  }

  stop() {
    const now = this._context.currentTime;
    this._voice.gain.cancelScheduledValues(now);
    this._voice.gain.setTargetAtTime(0, now, FADE_S / 5);
    this._node.schedule({ active: false, output: now + 2 * FADE_S });
    setTimeout(() => {
      this._node.disconnect(this._voice);
      this._voice.disconnect();
    }, 200);
  }

  _turn(frame, input) {
    if (!this._turns.length) {
      this._voice.gain.setValueAtTime(0, frame / this._rate);
      this._voice.gain.linearRampToValueAtTime(1, frame / this._rate + FADE_S);
    }
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
    return !this._turns.length || this.ahead < (this._lead() / 2) * this._speed;
  }

  // The node needs what it plays some time before.
  _lead() {
    const seconds = LEAD_S + (this._context.baseLatency || 0) + this._node.latencySeconds;
    return Math.ceil(seconds * this._rate);
  }

  _now() {
    return Math.round(this._context.currentTime * this._rate);
  }

  _forget() {
    const input = this._inputAt(this._now()) - KEPT_S * this._rate;
    while (this._segments.length > 1 && this._segments[1].input < input) this._segments.shift();
    this._node.dropBuffers(Math.max(0, input) / this._rate);
    const current = this._turns.findLastIndex((turn) => turn.frame <= this._now() - KEPT_S * this._rate);
    if (current > 0) this._turns.splice(0, current);
  }
}
