// Where in the song the player is, and the fades at a start and a stop: what Timeline and
// StretchedTimeline share. Each of them has `_sampleAt(frame)`: the sample that plays in that frame.

const SILENT_S = 0.3; // so long after its beginning, a fade has ended, even if it reached the sound late

export class SongClock {
  constructor(clock, smoother, destination, sample) {
    const { context } = clock;
    this.endSample = sample; // the next one to be appended
    this._clock = clock;
    this._context = context;
    this._rate = context.sampleRate;
    this._segments = []; // pieces of the song, in order
    this._voice = new GainNode(context, { channelInterpretation: "discrete" });
    this._voice.connect(destination);
    this._volume = smoother.control(this._voice.gain, 0);
  }

  // Return the sample that is heard now. It left the context `outputLatency` seconds ago.
  position() {
    const time = this._context.currentTime - this._outputLatency();
    return this._sampleAt(Math.round(time * this._rate));
  }

  _fadeIn(frame) {
    this._volume.set(1, frame / this._rate);
  }

  // Fade out after so many seconds, and do not play again. Return the sample at which the fade begins,
  // and the time, in seconds, at which it has ended.
  _fadeOut(delay) {
    const frame = this._soon() + Math.ceil(delay * this._rate);
    const begin = frame / this._rate;
    const end = begin + SILENT_S;
    this._volume.set(0, begin);
    this._volume.end(end, () => this._disconnect());
    return { sample: this._sampleAt(frame), end };
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
