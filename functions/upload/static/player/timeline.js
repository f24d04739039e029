// Which sample of the song plays in which frame of the AudioContext. All is counted in whole samples
// from one origin, so that pieces of the song join exactly.

import { SongClock } from "./song-clock.js";

// Its segments are {frame, sample, length, source}.
export class Timeline extends SongClock {
  isStretched = false;
  isRewound = false; // it needs nothing at once

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
    const frame = this._isLate() ? this._soon() : this.endFrame;
    const source = new AudioBufferSourceNode(this._context, { buffer });
    source.connect(this._voice);
    source.start(frame / this._rate);
    source.stop((frame + buffer.length) / this._rate); // one that begins late must not sound over the next
    if (isFirst) this._fadeIn(frame);
    this._segments.push({ frame, sample, length: buffer.length, source });
    this.endSample = sample + buffer.length;
    this._forget();
  }

  // Cancel what is scheduled, but for the next moments. If `stop` is in what remains, it ends there.
  // Return true: it can always go on without a gap.
  rewind(stop) {
    const soon = this._soon();
    while (this._segments.length > 1 && this._segments.at(-1).frame > soon) {
      silence(this._segments.pop().source);
    }
    const last = this._segments.at(-1);
    if (!last) return true;
    const length = stop - last.sample;
    if (length < last.length && last.frame + length > soon) {
      last.source.stop((last.frame + length) / this._rate);
      last.length = length;
    }
    this.endSample = last.sample + last.length;
    return true;
  }

  // Stop, after so many seconds. Return the sample of the song at which it stops.
  stop(delay = 0) {
    const { sample, end } = this._fadeOut(delay);
    for (const { source, frame, length } of this._segments) {
      source.stop(Math.min(end, (frame + length) / this._rate)); // the last call counts
    }
    return sample;
  }

  _sampleAt(frame) {
    const current = this._segments.findLast((segment) => segment.frame <= frame);
    if (!current) return this._segments[0]?.sample ?? this.endSample;
    return current.sample + Math.min(frame - current.frame, current.length);
  }

  _isLate() {
    return this.endFrame === null || this.endFrame < (this._now() + this._soon()) / 2;
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
