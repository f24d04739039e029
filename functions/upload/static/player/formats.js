// Finds out which format a stem has.

import { ByteCursor } from "./byte-source.js";
import { Flac } from "./flac.js";
import { Mp3 } from "./mp3.js";
import { Wav } from "./wav.js";

const HEAD_BYTES = 16 * 1024;
const FORMATS = { fLaC: Flac, RIFF: Wav };

// Return the layout of the stem, by its first bytes.
export async function readFormat(source, signal) {
  const cursor = new ByteCursor(source, 0, signal, HEAD_BYTES);
  try {
    if (!(await cursor.fill(4))) throw new Error("The file is empty");
    const name = String.fromCharCode(...cursor.buffer.subarray(0, 4));
    return await (FORMATS[name] ?? Mp3).read(cursor, source);
  } finally {
    cursor.close();
  }
}
