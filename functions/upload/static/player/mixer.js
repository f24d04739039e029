// The way of each stem from the blocks to the loudspeaker: volume, pan, mute, solo and level.

const METER_SAMPLES = 2048; // a level is of these last ones

export class Mixer {
  constructor() {
    this._settings = new Map(); // by stem
    this._strips = new Map();
    this._samples = new Float32Array(METER_SAMPLES);
  }

  // Whether the stem is not heard, because it is muted or another one has solo.
  isSilent(name) {
    const anySolo = [...this._settings.values()].some((setting) => setting.solo);
    const { muted, solo } = this._of(name);
    return muted || (anySolo && !solo);
  }

  // Return {volume, pan} as they are heard.
  audible(name) {
    const { volume, pan } = this._of(name);
    return { volume: this.isSilent(name) ? 0 : volume, pan };
  }

  set(name, change) {
    Object.assign(this._of(name), change);
    for (const stem of this._strips.keys()) this._apply(stem);
  }

  // Build the nodes in the context of this Smoother. Blocks go into the node that is returned.
  connect(smoother, names) {
    this.close();
    const { context } = smoother;
    const count = names.length * 2;
    const input = new GainNode(context, {
      channelCount: count, channelCountMode: "explicit", channelInterpretation: "discrete",
    });
    const splitter = new ChannelSplitterNode(context, { numberOfOutputs: count });
    const master = new GainNode(context);
    input.connect(splitter);
    master.connect(context.destination);
    this._strips = new Map(names.map((name, number) => {
      const { volume, pan } = this.audible(name);
      const merger = new ChannelMergerNode(context, { numberOfInputs: 2 });
      const gain = new GainNode(context);
      const panner = new StereoPannerNode(context);
      const sides = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
      const analysers = [0, 1].map(() => new AnalyserNode(context, { fftSize: METER_SAMPLES }));
      splitter.connect(merger, number * 2, 0);
      splitter.connect(merger, number * 2 + 1, 1);
      merger.connect(gain).connect(panner).connect(master);
      panner.connect(sides);
      analysers.forEach((analyser, side) => sides.connect(analyser, side));
      return [name, {
        volume: smoother.control(gain.gain, volume),
        pan: smoother.control(panner.pan, pan),
        output: panner,
        analysers,
      }];
    }));
    this.outputs = new Map([...this._strips].map(([name, strip]) => [name, strip.output]));
    return input;
  }

  // Free what the nodes use, once the song has faded out.
  close() {
    for (const { output, volume, pan } of this._strips.values()) {
      const end = output.context.currentTime + 1;
      volume.end(end);
      pan.end(end);
    }
    this._strips.clear();
  }

  // Return the {peak, rms} of what is heard of the stem now, 1 being full scale; of its louder side.
  level(name) {
    const levels = (this._strips.get(name)?.analysers ?? []).map((analyser) => {
      analyser.getFloatTimeDomainData(this._samples);
      let peak = 0;
      let power = 0;
      for (const sample of this._samples) {
        peak = Math.max(peak, Math.abs(sample));
        power += sample * sample;
      }
      return { peak, rms: Math.sqrt(power / METER_SAMPLES) };
    });
    return {
      peak: Math.max(0, ...levels.map((level) => level.peak)),
      rms: Math.max(0, ...levels.map((level) => level.rms)),
    };
  }

  _of(name) {
    if (!this._settings.has(name)) {
      this._settings.set(name, { volume: 1, pan: 0, muted: false, solo: false });
    }
    return this._settings.get(name);
  }

  _apply(name) {
    const strip = this._strips.get(name);
    const { volume, pan } = this.audible(name);
    strip.volume.set(volume);
    strip.pan.set(pan);
  }
}
