// The time of an AudioContext by which sounds and fades are scheduled.
//
// What is scheduled in the past begins late, and loses its end to what follows it on time.
// `currentTime` may be in the past: Firefox sends it to the page by messages, up to 60 ms late on a busy
// machine, and it stands still while a handler runs. But the sound advances as fast as
// performance.now(), so the least late of the last values shows how late the present one is.

const LEAD_S = 0.01; // so long before its time, a sound or a fade is scheduled
const READ_MS = 10; // how often the time is read: the more values, the less late is the least late
const PERIOD_S = 0.5; // how long a value counts, or twice: after an interruption the sound is later
const MOST_S = 0.2; // a value that seems later than this was followed by an interruption

export class AudioClock {
  constructor(context) {
    this.context = context;
    this._timer = null;
    this._forget();
    context.addEventListener("statechange", () => this._restart());
  }

  // Return a time, in seconds, that the audio thread has not passed yet.
  now() {
    const { currentTime, baseLatency, state } = this.context;
    const rendered = currentTime + (baseLatency || 0); // a buffer is rendered at once
    if (state !== "running") return rendered;
    return Math.max(rendered, Math.min(this._estimate(currentTime), currentTime + MOST_S));
  }

  // Return the first time, in seconds, for which a sound or a fade can be scheduled now.
  soon() {
    return this.now() + LEAD_S;
  }

  _estimate(currentTime) {
    const wall = performance.now() / 1000;
    const offset = currentTime - wall;
    if (wall < this._periodEnd) this._offset = Math.max(this._offset, offset);
    else {
      this._lastOffset = this._offset;
      this._offset = offset;
      this._periodEnd = wall + PERIOD_S;
    }
    return wall + Math.max(this._lastOffset, this._offset);
  }

  _restart() {
    this._forget();
    clearInterval(this._timer);
    if (this.context.state === "running") this._timer = setInterval(() => this.now(), READ_MS);
    this.now();
  }

  _forget() {
    this._offset = this._lastOffset = -Infinity;
    this._periodEnd = 0;
  }
}
