"""How many samples of a WMA file come before the song.

FFmpeg's decoder drops two frames: what a file of Microsoft's encoders declares is what is left. But
FFmpeg's own encoder adds one frame only, so its files would lose their first 46 ms.
"""

import av
from av.container import InputContainer

KEEP_PRIMING = {"flags2": "+skip_manual"}
"""An option of the decoder: it drops nothing."""


def ffmpeg_priming(container: InputContainer, stream: av.AudioStream) -> int:
    """Return the samples that FFmpeg's encoder added; 0 for a file that it did not write."""
    name, rate = stream.codec_context.name, stream.rate or 0
    is_own = container.metadata.get("encoder", "").startswith("Lavf")
    if name not in ("wmav1", "wmav2") or not is_own:
        return 0
    # the length of a frame (libavcodec/wma_common.c)
    if rate <= 16_000:
        return 512
    return 1024 if rate <= 22_050 or (rate <= 32_000 and name == "wmav1") else 2048
