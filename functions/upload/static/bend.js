// The sliders for speed and pitch.

import { setText } from "./song-list.js";

const SPEED_STEP = 0.05; // of a key

const find = (id) => document.getElementById(id);

export class Bend {
  #bpm = 0; // as recorded; 0 if not known
  #onChange;

  // `onChange({speed, semitones})` is called when the user has moved a slider.
  constructor(onChange) {
    this.#onChange = onChange;
    for (const [id, initial] of [["speed", 1], ["pitch", 0]]) {
      find(id).oninput = () => this.#changed();
      find(id).ondblclick = () => {
        find(id).value = initial;
        this.#changed();
      };
    }
    find("bend-reset").onclick = () => {
      this.show({ speed: 1, semitones: 0 });
      this.#changed();
    };
  }

  show({ speed, semitones }, bpm = this.#bpm) {
    this.#bpm = bpm || 0;
    find("speed").value = speed;
    find("pitch").value = semitones;
    this.#render();
  }

  // Move the sliders by so many steps of a key.
  step({ speed = 0, semitones = 0 }) {
    find("speed").value = (Number(find("speed").value) + speed * SPEED_STEP).toFixed(2);
    find("pitch").value = Number(find("pitch").value) + semitones;
    this.#changed();
  }

  #changed() {
    this.#render();
    this.#onChange({ speed: Number(find("speed").value), semitones: Number(find("pitch").value) });
  }

  #render() {
    const speed = Number(find("speed").value);
    const semitones = Number(find("pitch").value);
    const percent = `${Math.round(speed * 100)} %`;
    const beats = this.#bpm ? `${Math.round(speed * this.#bpm)} BPM` : "";
    setText(find("speed-text"), [percent, beats].filter(Boolean).join(" · "));
    find("speed").setAttribute("aria-valuetext", [percent, beats].filter(Boolean).join(", "));
    const sign = { "-1": "−", 0: "±", 1: "+" }[Math.sign(semitones)];
    setText(find("pitch-text"), `${sign}${Math.abs(semitones)}`);
    find("pitch").setAttribute("aria-valuetext", semitonesText(semitones));
    find("bend-reset").disabled = speed === 1 && semitones === 0;
  }
}

function semitonesText(semitones) {
  if (semitones === 0) return "as recorded";
  const count = Math.abs(semitones);
  return `${count} semitone${count === 1 ? "" : "s"} ${semitones > 0 ? "higher" : "lower"}`;
}
