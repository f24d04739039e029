// One stem of the mixer: mute, solo, volume, pan, meter, waveform.

import { stemTitle } from "./words.js";

const template = document.getElementById("stem-template");
const METER_DB = 48; // from the left end of a meter to full scale
const FALL = 0.86; // of a meter, per frame
const KNOB_PX = 120; // from one side to the other
const KNOB_DEGREES = 135;

export class Strip {
  name;
  settings; // {volume, pan, muted, solo}
  #find;
  #shownLevel = 0;

  // `onChange()` is called when the user has changed a setting, `onSeek(share)` for a click into the
  // waveform, `onDownload()` for one on the link.
  constructor(name, settings, { onChange, onSeek, onDownload }) {
    this.name = name;
    this.settings = settings;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.#find = (selector) => this.element.querySelector(selector);
    const title = stemTitle(name);
    this.element.dataset.stem = name;
    this.#find(".stem-name").textContent = title;
    for (const part of this.element.querySelectorAll(".of")) part.textContent = ` ${title}`;
    this.#find(".volume").setAttribute("aria-label", `Volume of ${title}`);
    this.#find(".pan").setAttribute("aria-label", `Pan of ${title}`);
    const changed = () => {
      this.render();
      onChange();
    };
    this.toggle = (setting) => {
      settings[setting] = !settings[setting];
      changed();
    };
    this.#find(".mute").onclick = () => this.toggle("muted");
    this.#find(".solo").onclick = () => this.toggle("solo");
    for (const [setting, initial] of [["volume", 1], ["pan", 0]]) {
      const input = this.#find(`.${setting}`);
      input.oninput = () => {
        settings[setting] = Number(input.value);
        changed();
      };
      input.ondblclick = () => {
        settings[setting] = initial;
        changed();
      };
    }
    turnByDragging(this.#find(".pan"));
    this.#find(".wave").addEventListener("click", (event) => {
      const box = this.#find(".wave").getBoundingClientRect();
      onSeek((event.clientX - box.left) / box.width);
    });
    this.#find(".download").addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return; // the browser's own
      event.preventDefault();
      onDownload();
    });
    this.render();
  }

  get canvas() {
    return this.#find("canvas");
  }

  render(isAnySolo = false) {
    const { volume, pan, muted, solo } = this.settings;
    this.#find(".mute").setAttribute("aria-pressed", String(muted));
    this.#find(".solo").setAttribute("aria-pressed", String(solo));
    this.element.classList.toggle("silent", muted || (isAnySolo && !solo));
    const fader = this.#find(".volume");
    fader.value = volume;
    fader.setAttribute("aria-valuetext", decibels(volume));
    fader.title = decibels(volume);
    const knob = this.#find(".pan");
    knob.value = pan;
    knob.setAttribute("aria-valuetext", panText(pan));
    knob.parentElement.title = `Pan: ${panText(pan)}`;
    knob.parentElement.style.setProperty("--turn", `${pan * KNOB_DEGREES}deg`);
  }

  // Show a level: {peak, rms}, linear. Return whether the meter still moves.
  showLevel({ peak }) {
    const level = peak > 0 ? Math.max(0, 1 + (20 * Math.log10(peak)) / METER_DB) : 0;
    this.#shownLevel = Math.min(1, Math.max(level, this.#shownLevel * FALL));
    if (this.#shownLevel < 0.01) this.#shownLevel = 0;
    this.#find(".meter").style.setProperty("--level", this.#shownLevel.toFixed(3));
    return this.#shownLevel > 0;
  }

  // Set the link to the finished stem; "" if it is not finished.
  setDownload(url) {
    const link = this.#find(".download");
    link.hidden = !url;
    if (url) link.href = url;
  }
}

// A knob turns by dragging up or right, not to where it is clicked.
function turnByDragging(input) {
  input.addEventListener("pointerdown", (down) => {
    if (down.button !== 0) return;
    down.preventDefault();
    input.focus({ preventScroll: true });
    input.setPointerCapture(down.pointerId);
    const start = Number(input.value);
    const move = (event) => {
      const way = event.clientX - down.clientX - (event.clientY - down.clientY);
      const value = start + (2 * way) / KNOB_PX;
      input.value = Math.abs(value) < 0.08 ? 0 : value; // the middle is easy to find
      input.dispatchEvent(new Event("input"));
    };
    input.addEventListener("pointermove", move);
    input.addEventListener("lostpointercapture", () => input.removeEventListener("pointermove", move), { once: true });
  });
}

function decibels(volume) {
  if (volume === 0) return "silent";
  const value = 20 * Math.log10(volume);
  return `${value > 0.05 ? "+" : ""}${value.toFixed(1)} dB`;
}

function panText(pan) {
  if (pan === 0) return "middle";
  return `${Math.round(Math.abs(pan) * 100)} % ${pan < 0 ? "left" : "right"}`;
}
