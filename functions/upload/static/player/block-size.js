// How many samples a block has.

export const BLOCK_SAMPLES = 16384;
