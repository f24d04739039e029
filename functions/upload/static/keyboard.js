// Keys of the whole page, unless a field or a dialog has the focus.

const FIELDS = "input:not([type=range]):not([type=radio]):not([type=checkbox]), select, textarea, dialog[open] *";
const PRESSABLE = "button, a, summary, label, input[type=radio], input[type=checkbox]";

export function watchKeys(mixer, showHelp) {
  const keys = {
    Home: () => mixer.seek(0),
    ArrowLeft: () => mixer.jump(-1),
    ArrowRight: () => mixer.jump(1),
    l: () => mixer.toggleLoop(),
    "[": () => mixer.loopFromHere(),
    "]": () => mixer.loopToHere(),
    "-": () => mixer.bend({ speed: -1 }),
    "+": () => mixer.bend({ speed: 1 }),
    "=": () => mixer.bend({ speed: 1 }), // the same key, on many keyboards
    ",": () => mixer.bend({ semitones: -1 }),
    ".": () => mixer.bend({ semitones: 1 }),
    "?": showHelp,
  };
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const isAltGraph = event.getModifierState("AltGraph"); // some keyboards have [ and ] there
    const isCommand = (event.ctrlKey || event.altKey) && !isAltGraph;
    if (isCommand || event.metaKey || target.closest?.(FIELDS)) return;
    const isSlider = target.matches?.("input[type=range]");
    const { digit, isSolo } = digitOf(event);
    const isArrow = !digit && (event.key.startsWith("Arrow") || event.key === "Home");
    if (isArrow && (isSlider || target.matches?.("input[type=radio]"))) return;
    let action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (event.key === " ") {
      if (target.matches?.(PRESSABLE)) return; // it presses what has the focus
      action = () => mixer.toggle();
    } else if (digit) action = () => mixer.toggleStem(digit, isSolo ? "solo" : "muted");
    if (!action) return;
    event.preventDefault();
    if (!event.repeat || isArrow) action();
  });
  // After a click of the mouse, the space bar plays again instead of pressing the same button.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (button && event.detail > 0 && !button.closest("dialog, form")) button.blur();
  });
}

// Return which digit was pressed, if any, and whether with Shift. The keys of a number pad are arrows
// without NumLock; with it, they are arrows together with Shift, and Windows does not tell of the Shift.
function digitOf(event) {
  const [, pad, number] = /^(Digit|Numpad)([1-9])$/.exec(event.code) ?? [];
  const isHidden = pad === "Numpad" && !/^\d$/.test(event.key); // what it would be without Shift
  if (!pad || (isHidden && !event.getModifierState("NumLock"))) return { digit: 0, isSolo: false };
  return { digit: Number(number), isSolo: event.shiftKey || isHidden };
}
