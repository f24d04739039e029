// Records what each stem sounds like before the mix: sample by sample, on the context's own clock.

const BLOCK = 4096;

registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor({ numberOfInputs }) {
    super();
    this._stems = numberOfInputs;
    this._begin();
  }

  process(inputs) {
    inputs.forEach((sides, stem) =>
      sides.forEach((samples, side) => this._block[stem * 2 + side].set(samples, this._filled)));
    this._filled += 128;
    if (this._filled === BLOCK) {
      this.port.postMessage(this._block, this._block.map((samples) => samples.buffer));
      this._begin();
    }
    return true;
  }

  _begin() {
    this._filled = 0;
    this._block = Array.from({ length: this._stems * 2 }, () => new Float32Array(BLOCK));
  }
});
