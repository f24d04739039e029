"""The entry of the decoder's child process: import the decoder quickly, then decode.

    python -S -m functions.separate.audio.start_decoder TASK < song > samples

TASK is a DecoderTask as JSON (functions.separate.audio.decoder_report). Someone waits for the first
block of the song, and imports are most of the child's time until then.
"""

import json
import sys

from functions.separate.audio.decoder_report import DecoderTask
from microdemucs.fast_imports import without_garbage_collection

if __name__ == "__main__":
    with without_garbage_collection():
        from functions.separate.audio import decoder_process
    decoder_process.decode_in_this_process(DecoderTask(**json.loads(sys.argv[1])))
