// Where in the song the player is, and the fades at a start and a stop: what Timeline and
// StretchedTimeline share. Each of them has `_sampleAt(frame)`: the sample that plays in that frame.

import { MOST_S } from "./audio-clock.js";

const FADE_S = 0.01; // of a start and of a stop, against clicks: so both together are never too loud
const DISCONNECT_MS = 1000 * MOST_S + 100; // after the end of a fade

export class SongClock {
  constructor(clock, destination, sample) {
    const { context } = clock;
    this.endSample = sample; // the next one to be appended
    this._clock = clock;
    this._context = context;
    this._rate = context.sampleRate;
    this._segments = []; // pieces of the song, in order
    this._voice = new GainNode(context, { gain: 0, channelInterpretation: "discrete" });
    this._voice.connect(destination);
  }

  // Return the sample that is heard now. It left the context `outputLatency` seconds ago.
  position() {
    const time = this._context.currentTime - this._outputLatency();
    return this._sampleAt(Math.round(time * this._rate));
  }

  _fadeIn(frame) {
    this._voice.gain.setValueAtTime(0, frame / this._rate);
    this._voice.gain.linearRampToValueAtTime(1, frame / this._rate + FADE_S);
  }

  // Fade out after so many seconds, and do not play again. Return the sample at which the fade begins,
  // and the time, in seconds, at which it is silent.
  _fadeOut(delay) {
    const frame = this._soon() + Math.ceil(delay * this._rate);
    const begin = frame / this._rate;
    this._voice.gain.cancelScheduledValues(begin);
    this._voice.gain.setTargetAtTime(0, begin, FADE_S / 10);
    setTimeout(() => this._disconnect(), 1000 * delay + DISCONNECT_MS);
    return { sample: this._sampleAt(frame), end: begin + FADE_S };
  }

  _disconnect() {
    this._voice.disconnect();
  }

  // s. A browser without a baseLatency is not asked: Firefox can stop for ever, as the page then waits
  // for the sound server (PulseAudio), which waits for the audio thread, which waits for the page.
  _outputLatency() {
    return this._context.baseLatency ? this._context.outputLatency || 0 : 0;
  }

  // A frame that the audio thread has not passed yet.
  _now() {
    return Math.round(this._clock.now() * this._rate);
  }

  // The first frame for which a sound or a fade can be scheduled.
  _soon() {
    return Math.ceil(this._clock.soon() * this._rate);
  }
}
