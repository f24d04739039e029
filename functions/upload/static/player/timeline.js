// Which sample of the song plays in which frame of the AudioContext. All is counted in whole samples
// from one origin, so that pieces of the song join exactly.

const LEAD_S = 0.01; // between a start and its first sound: what comes later would be cut
const FADE_S = 0.005; // at a start and a stop, against clicks

export class Timeline {
  constructor(context, destination, sample) {
    this.endSample = sample; // the next one to be scheduled
    this.isStretched = false;
    this._context = context;
    this._rate = context.sampleRate;
    this._segments = []; // {frame, sample, length, source}, in order
    this._voice = new GainNode(context, { gain: 0, channelInterpretation: "discrete" });
    this._voice.connect(destination);
  }

  // The context's frame in which nothing is scheduled any more; null before the first segment.
  get endFrame() {
    const last = this._segments.at(-1);
    return last ? last.frame + last.length : null;
  }

  // How many samples are scheduled that have not been played.
  get ahead() {
    return Math.max(0, (this.endFrame ?? 0) - this._now());
  }

  // Play `buffer`, the song from `sample` on, after what is scheduled already.
  append(buffer, sample) {
    const isFirst = this._segments.length === 0;
    const frame = this._isLate() ? this._now() + this._lead() : this.endFrame;
    const source = new AudioBufferSourceNode(this._context, { buffer });
    source.connect(this._voice);
    source.start(frame / this._rate);
    if (isFirst) {
      this._voice.gain.setValueAtTime(0, frame / this._rate);
      this._voice.gain.linearRampToValueAtTime(1, frame / this._rate + FADE_S);
    }
    this._segments.push({ frame, sample, length: buffer.length, source });
    this.endSample = sample + buffer.length;
    this._forget();
  }

  // Cancel what is scheduled, but for the next moments. If `stop` is in what remains, it ends there.
  rewind(stop) {
    const soon = this._now() + this._lead();
    while (this._segments.length > 1 && this._segments.at(-1).frame > soon) {
      silence(this._segments.pop().source);
    }
    const last = this._segments.at(-1);
    if (!last) return;
    const length = stop - last.sample;
    if (length < last.length && last.frame + length > soon) {
      last.source.stop((last.frame + length) / this._rate);
      last.length = length;
    }
    this.endSample = last.sample + last.length;
  }

  // Return the sample of the song that is heard now: the sound card is late.
  position() {
    return this._sampleAt(this._now() - Math.round((this._context.outputLatency || 0) * this._rate));
  }

  // Return the first sample that is not heard any more if the player stops now.
  stopPosition() {
    return this._sampleAt(this._now());
  }

  stop() {
    const now = this._context.currentTime;
    this._voice.gain.cancelScheduledValues(now);
    this._voice.gain.setTargetAtTime(0, now, FADE_S / 5);
    for (const { source } of this._segments) source.stop(now + 2 * FADE_S);
    setTimeout(() => this._voice.disconnect(), 200);
  }

  _sampleAt(frame) {
    const current = this._segments.findLast((segment) => segment.frame <= frame);
    if (!current) return this._segments[0]?.sample ?? this.endSample;
    return current.sample + Math.min(frame - current.frame, current.length);
  }

  _isLate() {
    return this.endFrame === null || this.endFrame < this._now() + this._lead() / 2;
  }

  _lead() {
    return Math.ceil((LEAD_S + (this._context.baseLatency || 0)) * this._rate);
  }

  _now() {
    return Math.round(this._context.currentTime * this._rate);
  }

  // Drop segments that were played more than a second ago.
  _forget() {
    const past = this._now() - this._rate;
    while (this._segments.length > 1 && this._segments[1].frame < past) this._segments.shift();
  }
}

function silence(source) {
  source.stop();
  source.disconnect();
}
