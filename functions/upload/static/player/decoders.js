// Decoders of frames: WebCodecs if the page may use it, else decodeAudioData, excerpt by excerpt.

const FIRST_EXCERPT = 8; // frames: little, so that the first sound comes soon
const MAX_EXCERPT = 128;
const MAX_QUEUED = 32;
const UNDECODABLE = "This browser cannot decode it";

// Return a function that creates the best decoder here. Each decoder has
//   decode(frame)  take {position, data}; samples come later, by onSamples(position, channels), or
//                  an error by onError(error) or as an exception
//   settle()       decode what has been taken, if it can be done without losing the next samples
//   finish()       decode all that has been taken; no frame follows
//   close()
export function bestDecoder() {
  const createCodec = typeof AudioDecoder === "function"
    ? (...values) => new CodecDecoder(...values)
    : (...values) => new ExcerptDecoder(...values);
  return (format, onSamples, onError) =>
    format.codec ? createCodec(format, onSamples, onError) : new PlainDecoder(format, onSamples);
}

// Formats whose samples are not encoded.
class PlainDecoder {
  constructor(format, onSamples) {
    this._format = format;
    this._onSamples = onSamples;
  }

  decode(frame) {
    this._onSamples(frame.position, this._format.samplesOf(frame));
  }

  settle() {}
  finish() {}
  close() {}
}

class CodecDecoder {
  constructor(format, onSamples, onError) {
    this._format = format;
    this._onSamples = onSamples;
    this._changed = Promise.withResolvers();
    this._decoder = new AudioDecoder({
      output: (data) => this._output(data),
      error: () => {
        this._changed.resolve();
        onError(new Error(UNDECODABLE));
      },
    });
    this._decoder.addEventListener("dequeue", () => this._changed.resolve());
    this._decoder.configure({
      codec: format.codec,
      sampleRate: format.rate,
      numberOfChannels: format.channels,
      description: format.description,
    });
  }

  async decode({ position, data }) {
    const timestamp = this._microseconds(position);
    this._decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
    while (this._decoder.state === "configured" && this._decoder.decodeQueueSize > MAX_QUEUED) {
      this._changed = Promise.withResolvers();
      await this._changed.promise;
    }
  }

  settle() {}

  finish() {
    return this._decoder.flush();
  }

  close() {
    if (this._decoder.state !== "closed") this._decoder.close();
    this._changed.resolve();
  }

  // A frame's samples are found again by their time, which must not be negative.
  _microseconds(position) {
    return Math.round(((position + this._format.delay) * 1e6) / this._format.rate);
  }

  _output(data) {
    const position = Math.round((data.timestamp * this._format.rate) / 1e6) - this._format.delay;
    const channels = Array.from({ length: data.numberOfChannels }, (_, planeIndex) => {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex, format: "f32-planar" });
      return samples;
    });
    data.close();
    this._onSamples(position, channels);
  }
}

class ExcerptDecoder {
  constructor(format, onSamples) {
    this._format = format;
    this._onSamples = onSamples;
    this._context = new OfflineAudioContext(format.channels, 1, format.rate);
    this._frames = []; // of this excerpt; the first `_repeated` were in the last one
    this._repeated = 0;
    this._length = FIRST_EXCERPT;
  }

  async decode(frame) {
    this._frames.push({ position: frame.position, data: frame.data.slice() });
    if (this._frames.length - this._repeated >= this._length) await this._decodeExcerpt();
  }

  async settle() {
    if (this._frames.length > this._repeated) await this._decodeExcerpt();
  }

  finish() {
    return this.settle();
  }

  close() {
    this._frames = [];
    this._repeated = 0;
  }

  async _decodeExcerpt() {
    const frames = this._frames;
    const repeated = this._repeated;
    this._frames = frames.slice(frames.length - Math.min(frames.length, this._format.preroll));
    this._repeated = this._frames.length;
    this._length = Math.min(this._length * 2, MAX_EXCERPT);
    const pieces = frames.map((frame) => frame.data);
    if (this._format.description) pieces.unshift(this._format.description);
    const file = await new Blob(pieces).arrayBuffer();
    const audio = await this._context.decodeAudioData(file).catch(() => {
      throw new Error(UNDECODABLE);
    });
    // Some decoders leave out the first frames, but none the last: count from the end.
    const { frameSamples } = this._format;
    const end = frameSamples
      ? frames.at(-1).position + frameSamples : frames[0].position + audio.length;
    const start = Math.max(end - audio.length, frames[repeated].position);
    const channels = Array.from({ length: audio.numberOfChannels }, (_, index) =>
      audio.getChannelData(index).subarray(start - (end - audio.length)));
    this._onSamples(start, channels);
  }
}
