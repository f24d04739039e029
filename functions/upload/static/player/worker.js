// Reads and decodes the stems beside the page's own thread. Messages are calls of StemSet's methods.

import { StemSet } from "./stem-set.js";
// Named here, too: otherwise the browser finds one after the other.
import "./byte-source.js";
import "./decoders.js";
import "./flac.js";
import "./formats.js";
import "./mp3.js";
import "./stem-reader.js";
import "./wav.js";

let stems = null;

self.onmessage = ({ data: { song, method, values } }) => {
  if (method === "open") {
    stems?.close();
    stems = new StemSet(values[0], (event) => {
      const transfer = event.channels?.map((channel) => channel.buffer) ?? [];
      self.postMessage({ song, event }, transfer);
    });
  } else {
    stems?.[method](...values);
  }
};
