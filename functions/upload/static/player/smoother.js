// Moves AudioParams to new values without a click, however late a change reaches the audio thread: a
// ramp whose beginning has passed begins with a jump, but a filter always begins where it is.

const SMOOTH_S = 0.001; // after so long, 1/e of a change is left
// Of a filter, one for each parameter. While a filter is made, Chromium's sound stops: so few are made.
const CHANNELS = 32;

export class Smoother {
  constructor(context) {
    this.context = context;
    this._filters = []; // {input, output, free}: the channels that no parameter uses
  }

  // Control a parameter of a node of the context, and set it to `value`.
  control(parameter, value) {
    const filter = this._filters.find(({ free }) => free.length) ?? this._addFilter();
    return new SmoothParameter(filter, parameter, value);
  }

  _addFilter() {
    const input = new ChannelMergerNode(this.context, { numberOfInputs: CHANNELS });
    const output = new ChannelSplitterNode(this.context, { numberOfOutputs: CHANNELS });
    const kept = Math.exp(-1 / (SMOOTH_S * this.context.sampleRate)); // of a change, per sample
    const coefficients = { feedforward: [1 - kept], feedback: [1, -kept] };
    input.connect(new IIRFilterNode(this.context, coefficients)).connect(output);
    const filter = { input, output, free: Array.from({ length: CHANNELS }, (_, channel) => channel) };
    this._filters.push(filter);
    return filter;
  }
}

class SmoothParameter {
  constructor({ input, output, free }, parameter, value) {
    const channel = free.pop();
    parameter.value = value;
    this._first = value;
    this._change = new ConstantSourceNode(input.context, { offset: 0 });
    this._change.connect(input, 0, channel);
    output.connect(parameter, channel);
    this._free = () => {
      output.disconnect(parameter, channel);
      free.push(channel);
    };
    this._change.start();
  }

  // Move to `value` now, or at a time of the context, in seconds.
  set(value, time = null) {
    const { offset } = this._change;
    if (time === null) offset.value = value - this._first;
    else offset.cancelScheduledValues(time).setValueAtTime(value - this._first, time);
  }

  // At this time of the context the parameter returns to its first value, and can be set no more. Then
  // call `onEnd`.
  end(time, onEnd = () => {}) {
    const free = () => {
      this._free();
      onEnd();
    };
    this._change.addEventListener("ended", free, { once: true }); // Chromium may send it twice
    this._change.stop(time);
  }
}
