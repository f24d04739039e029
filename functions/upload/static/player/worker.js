// Reads and decodes the stems beside the page's own thread. Messages are calls of StemSet's methods.

import { StemSet } from "./stem-set.js";

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
