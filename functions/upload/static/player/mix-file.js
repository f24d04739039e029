// The mix as a WAV file of 16 bits, made block by block, so that memory does not grow with the song.

import { BLOCK_SAMPLES } from "./block-size.js";
import { Blocks } from "./blocks.js";
import { Decoding } from "./decoding.js";

const AHEAD = 8; // blocks
const FORMAT_BYTES = 36; // of the header without the tags
const encoder = new TextEncoder();

// Return a Blob with the samples `from` to before `to` (null: the end). `audible(name)` is the stem's
// {volume, pan}; `renew()` returns new links if these have expired. `title` and `artist` are the song's.
export async function writeMix({ links, audible, renew, from, to, title, artist }) {
  const names = Object.keys(links);
  const source = new BlockSource(links, names, renew);
  try {
    const { rate, total } = await source.format();
    const end = Math.min(to ?? total, total);
    const mixed = names.map((name) => ({ name, ...audible(name) }));
    const gains = mixed.map(gainsOf);
    const tags = title ? { INAM: `${title} (${describeMix(mixed)})`, IART: artist } : {};
    const pieces = [];
    for (let index = Math.floor(from / BLOCK_SAMPLES); index * BLOCK_SAMPLES < end; index++) {
      const start = index * BLOCK_SAMPLES;
      const buffer = await source.block(index, Math.ceil(end / BLOCK_SAMPLES));
      const samples = mix(buffer, gains, Math.max(from - start, 0), Math.min(end - start, BLOCK_SAMPLES));
      pieces.push(new Blob([samples])); // a Blob is not kept in the page's memory
    }
    const bytes = pieces.reduce((sum, piece) => sum + piece.size, 0);
    return new Blob([header(rate, bytes, infoList(tags)), ...pieces], { type: "audio/wav" });
  } finally {
    source.close();
  }
}

// The blocks of a song in order, apart from those that are played meanwhile.
class BlockSource {
  constructor(links, names, renew) {
    this._renew = renew;
    this._rate = 0;
    this._totals = new Map(); // by stem
    this._names = names;
    this._error = null;
    this._changed = Promise.withResolvers();
    this._decoding = new Decoding((event) => this._onEvent(event));
    this._blocks = new Blocks(this._decoding, names);
    this._decoding.open(links);
  }

  async format() {
    this._blocks.require([0]);
    await this._until(() => this._totals.size === this._names.length);
    return { rate: this._rate, total: Math.max(...this._totals.values()) };
  }

  async block(index, end) {
    const count = Math.min(AHEAD, end - index);
    const next = Array.from({ length: count }, (_, number) => index + number);
    await this._until(() => {
      this._blocks.require(next);
      return this._blocks.get(index);
    });
    return this._blocks.get(index);
  }

  close() {
    this._decoding.close();
  }

  async _until(isReady) {
    while (!isReady()) {
      await this._changed.promise;
      if (this._error) throw this._error;
    }
  }

  async _onEvent(event) {
    if (event.kind === "block") this._blocks.add(event);
    else if (event.kind === "end") this._end(event);
    else if (event.kind === "format") this._takeFormat(event);
    else if (event.kind === "problem") this._error = stemError(event);
    else if (event.kind === "expired") {
      await this._renew().then(
        (links) => this._decoding.replace(links),
        (error) => this._decoding.fail(error.message),
      );
    }
    this._changed.resolve();
    this._changed = Promise.withResolvers();
  }

  _takeFormat({ name, rate, total }) {
    this._rate = rate;
    this._blocks.setRate(rate);
    if (total) this._totals.set(name, total);
  }

  _end(event) {
    this._blocks.end(event);
    this._totals.set(event.name, event.total);
  }
}

function stemError({ name, message }) {
  return Object.assign(new Error(message), { stem: name });
}

// Return what goes from each side to each side: those of StereoPannerNode (Web Audio API, 1.31).
function gainsOf({ volume, pan }) {
  const angle = ((pan <= 0 ? pan + 1 : pan) * Math.PI) / 2;
  const [stay, cross] = [Math.sin(angle), Math.cos(angle)];
  const sides = pan <= 0
    ? { leftToLeft: 1, rightToLeft: cross, leftToRight: 0, rightToRight: stay }
    : { leftToLeft: cross, rightToLeft: 0, leftToRight: stay, rightToRight: 1 };
  return Object.fromEntries(Object.entries(sides).map(([side, gain]) => [side, gain * volume]));
}

// Return the samples `from` to before `to` of all stems together, as little-endian integers.
function mix(buffer, gains, from, to) {
  const bytes = new DataView(new ArrayBuffer((to - from) * 4));
  const channels = gains.map((_, number) =>
    [0, 1].map((side) => buffer.getChannelData(number * 2 + side)));
  for (let at = from; at < to; at++) {
    let left = 0;
    let right = 0;
    gains.forEach((gain, number) => {
      const [l, r] = [channels[number][0][at], channels[number][1][at]];
      left += l * gain.leftToLeft + r * gain.rightToLeft;
      right += l * gain.leftToRight + r * gain.rightToRight;
    });
    bytes.setInt16((at - from) * 4, integer(left), true);
    bytes.setInt16((at - from) * 4 + 2, integer(right), true);
  }
  return bytes.buffer;
}

function integer(sample) {
  return Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
}

// Return what a title says of the mix, as the server does (describe_mix).
function describeMix(stems) {
  const namesOf = (chosen) => chosen.map(({ name }) => name).join(" and ");
  const silent = stems.filter(({ volume }) => volume === 0);
  const audible = stems.filter(({ volume }) => volume !== 0);
  if (!silent.length || !audible.length) return "mix";
  return silent.length <= audible.length ? `without ${namesOf(silent)}` : namesOf(audible);
}

// Return the header of a stereo file with these tags (Microsoft, Multimedia Data Standards 1991).
function header(rate, bytes, tags) {
  const fields = new DataView(new ArrayBuffer(FORMAT_BYTES + tags.length + 8));
  const text = (at, name) => new Uint8Array(fields.buffer).set(encoder.encode(name), at);
  text(0, "RIFF");
  fields.setUint32(4, fields.byteLength - 8 + bytes, true);
  text(8, "WAVEfmt ");
  fields.setUint32(16, 16, true);
  fields.setUint16(20, 1, true);
  fields.setUint16(22, 2, true);
  fields.setUint32(24, rate, true);
  fields.setUint32(28, rate * 4, true);
  fields.setUint16(32, 4, true);
  fields.setUint16(34, 16, true);
  new Uint8Array(fields.buffer).set(tags, FORMAT_BYTES);
  text(FORMAT_BYTES + tags.length, "data");
  fields.setUint32(FORMAT_BYTES + tags.length + 4, bytes, true);
  return fields.buffer;
}

// Return a LIST chunk of type INFO with the texts that are not empty.
function infoList(texts) {
  const entries = Object.entries(texts).filter(([, text]) => text);
  const chunks = entries.map(([name, text]) => chunk(name, [...encoder.encode(text), 0]));
  return entries.length ? chunk("LIST", [...encoder.encode("INFO"), ...chunks.flat()]) : [];
}

function chunk(name, data) {
  const size = [0, 8, 16, 24].map((shift) => (data.length >> shift) & 0xff);
  return [...encoder.encode(name), ...size, ...data, ...(data.length % 2 ? [0] : [])];
}
