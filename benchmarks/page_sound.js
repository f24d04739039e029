// How loud the page is, and how long it takes until it is so loud.

const connect = AudioNode.prototype.connect;
let tap = null;

AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    tap ??= new AnalyserNode(target.context, { fftSize: 256 });
    connect.call(this, tap);
  }
  return connect.call(this, target, ...rest);
};

function level() {
  if (!tap) return 0;
  const samples = new Float32Array(tap.fftSize);
  tap.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
}

// Do `action`, and return the milliseconds until the level is above (or below) this one.
window.timeUntil = (action, { above = -1, below = Infinity }) => new Promise((resolve) => {
  const started = performance.now();
  action();
  const timer = setInterval(() => {
    const now = level();
    if (now <= above || now >= below) return;
    clearInterval(timer);
    resolve(performance.now() - started);
  });
});

const play = () => document.getElementById("play");

window.press = () => play().click();

window.pressWhenPossible = () => {
  const timer = setInterval(() => {
    if (play().disabled) return;
    clearInterval(timer);
    play().click();
  });
};

window.seekTo = (seconds) => {
  const slider = document.getElementById("seek");
  slider.value = seconds;
  slider.dispatchEvent(new Event("input"));
  slider.dispatchEvent(new Event("change"));
};
