// The ruler above the waveforms: times, and the loop, which is made by dragging.

import { formatTime } from "./words.js";

const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
const LABEL_PX = 64;
const DRAG_PX = 5; // less is a click

export class Ruler {
  #canvas;
  #seconds = 0;
  #loop = null; // {from, to, isOn}
  #dragged = null; // the loop that is being dragged
  #isPressed = false;

  // `onSeek(seconds)` and `onLoop(from, to)` are called for a click and a drag.
  constructor(canvas, { onSeek, onLoop }) {
    this.#canvas = canvas;
    canvas.addEventListener("pointerdown", (down) => {
      if (!this.#seconds || down.button !== 0 || this.#isPressed) return;
      this.#follow(down, { onSeek, onLoop });
    });
  }

  // Show the loop, unless one is being dragged.
  show(seconds, loop) {
    if (seconds === this.#seconds && loop === this.#loop) return;
    this.#seconds = seconds;
    this.#loop = loop;
    this.draw();
  }

  // Follow a pointer from where it was pressed to where it is released.
  #follow(down, { onSeek, onLoop }) {
    const start = this.#at(down);
    const ended = new AbortController();
    const on = (type, act) => this.#canvas.addEventListener(type, (event) => {
      if (event.pointerId === down.pointerId) act(event);
    }, { signal: ended.signal });
    const loopTo = (event) => {
      if (Math.abs(event.clientX - down.clientX) < DRAG_PX) return null;
      const at = this.#at(event);
      return { from: Math.min(start, at), to: Math.max(start, at), isOn: true };
    };
    const end = () => {
      ended.abort();
      this.#isPressed = false;
      this.#dragged = null;
      this.draw();
    };
    this.#isPressed = true;
    this.#canvas.setPointerCapture(down.pointerId);
    on("pointermove", (event) => {
      this.#dragged = loopTo(event);
      this.draw();
    });
    on("pointerup", (event) => {
      end();
      const loop = loopTo(event);
      if (loop) onLoop(loop.from, loop.to);
      else onSeek(start);
    });
    on("pointercancel", end);
    on("lostpointercapture", end);
  }

  draw() {
    const canvas = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (width === 0) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const style = getComputedStyle(canvas);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const loop = this.#dragged ?? this.#loop;
    if (loop && this.#seconds) {
      const { from, to, isOn } = loop;
      const left = (from / this.#seconds) * width;
      context.fillStyle = style.accentColor === "auto" ? style.color : style.accentColor;
      context.globalAlpha = isOn ? 1 : 0.4;
      context.beginPath();
      context.roundRect(left, height - 6, Math.max(2, ((to - from) / this.#seconds) * width), 6, 2);
      context.fill();
      context.globalAlpha = 1;
    }
    if (!this.#seconds) return;
    const step = STEPS.find((s) => (s / this.#seconds) * width >= LABEL_PX) ?? 3600;
    context.fillStyle = style.color;
    context.font = `${style.fontSize} ${style.fontFamily}`;
    context.textBaseline = "top";
    for (let time = 0; time < this.#seconds; time += step) {
      const x = (time / this.#seconds) * width;
      context.fillRect(Math.round(x), height - 7, 1, 7);
      const label = formatTime(time, step < 1 ? 1 : 0);
      if (x + 3 + context.measureText(label).width <= width) context.fillText(label, x + 3, 2);
    }
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return share * this.#seconds;
  }
}
