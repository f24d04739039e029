"""Write Native Instruments' stem.mp4: the mix and four stems as AAC tracks, and what they are."""

from collections.abc import Mapping, Sequence
from typing import BinaryIO

import av
from av.audio.stream import AudioStream

from functions.upload.encoding.mix_graph import mix_and_stem_blocks
from functions.upload.encoding.stem_atom import add_stem_atom
from functions.upload.encoding.stem_source import StemSource
from functions.upload.encoding.task import STEM_RATE

AAC_BITRATE = 256_000
_AAC_OPTIONS = {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0"}
"""Twice as fast as the default and nearer to the samples: 33 dB instead of 28 on a real song."""
_TAGS = ("title", "artist", "album", "track")


def write_stem_file(
    sources: Sequence[StemSource],
    names: Sequence[str],
    tags: Mapping[str, str],
    output: BinaryIO,
) -> None:
    """Write the file to `output`, an empty file. The sources are in the order of the tracks."""
    # the unit of the edit lists: tracks end at the sample
    options = {"movie_timescale": str(STEM_RATE)}
    with av.open(output, "w", format="mp4", options=options) as container:
        for name in _TAGS:
            if tags.get(name):
                container.metadata[name] = tags[name]
        tracks = [_add_track(container, name) for name in ("mix", *names)]
        for number, block in mix_and_stem_blocks(sources):
            container.mux(tracks[number].encode(block))
        for track in tracks:
            container.mux(track.encode(None))
    add_stem_atom(output, names)


def _add_track(container: av.container.OutputContainer, name: str) -> AudioStream:
    track = container.add_stream("aac", rate=STEM_RATE, options=_AAC_OPTIONS)
    track.layout = "stereo"
    track.bit_rate = AAC_BITRATE
    track.metadata["handler_name"] = name
    return track
