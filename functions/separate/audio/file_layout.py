"""Find out how to read a song's file: where its audio is, and what its header says wrongly."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import av
import av.error
from av.container import InputContainer

from functions.separate.audio import frame_scan, ogg_links, tags
from functions.separate.audio.memory_limit import raise_at_limit
from functions.separate.audio.song_file import SongFile
from functions.separate.audio.wav_header import read_wav_header
from microdemucs.formats import CODECS, FFMPEG_CONTAINERS

# FFmpeg also decodes a little of each stream to find out what it is
_OPTIONS = {
    "format_whitelist": ",".join(FFMPEG_CONTAINERS),
    "codec_whitelist": ",".join(CODECS),
}
_BUFFER_BYTES = 1 << 16
_MIN_JUNK_WARNING = 4096  # bytes: less is padding


@dataclass(slots=True)
class FileLayout:
    """How to read a song: one file for each of `stretches`, whose audio follows one another.

    `patches` (offset → bytes) correct a header. `container` is FFmpeg's name, "" if unknown.
    `missing_seconds`, and `missing_share` of all, is audio that is lost or damaged.
    `declared_seconds` is what a header announces, and `valid_bits` how many a sample has; both are
    known of a WAV only. `tags` and `cover` are those of the whole file, since the stretches leave
    out an MP3's tags.
    """

    stretches: list[list[tuple[int, int]]]
    patches: dict[int, bytes] = field(default_factory=dict)
    container: str = ""
    declared_seconds: float | None = None
    valid_bits: int | None = None
    missing_seconds: float = 0.0
    missing_share: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    cover: bytes = b""
    warnings: list[str] = field(default_factory=list)

    def files(self, file: BinaryIO) -> Iterator[SongFile]:
        """Yield the files to decode, one after the other."""
        for stretches in self.stretches:
            yield SongFile(file, stretches, self.patches)


def open_container(file: SongFile) -> InputContainer:
    """Open an allowed container. Raises FFmpegError; MemoryError at this process's limit."""
    try:
        return av.open(
            file,
            "r",
            options=_OPTIONS,
            buffer_size=_BUFFER_BYTES,
            metadata_encoding="latin-1",  # each byte of a tag is kept: see tag_encoding
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        raise_at_limit(error)
        raise


def read_layout(file: BinaryIO) -> FileLayout:
    """Return the layout of a seekable file. Of an unknown one, it is the file as it is."""
    size = file.seek(0, 2)
    whole = FileLayout([[(0, size)]])
    with (
        suppress(av.error.FFmpegError, ValueError),  # decoding says what is wrong
        open_container(SongFile(file, [(0, size)])) as container,
    ):
        whole.container = container.format.name
        streams = [stream.metadata for stream in container.streams.audio]
        whole.tags = tags.read_tags(container.metadata, *streams)
        whole.cover = tags.read_cover(container)
    return _wav_layout(file, whole) or _ogg_layout(file, whole) or _frames_layout(file, whole)


def _wav_layout(file: BinaryIO, whole: FileLayout) -> FileLayout | None:
    wav = read_wav_header(file)
    if not wav:
        return None
    return replace(
        whole,
        patches=wav.patches,
        container="wav",
        declared_seconds=wav.declared_seconds,
        valid_bits=wav.valid_bits,
        warnings=wav.warnings,
    )


def _ogg_layout(file: BinaryIO, whole: FileLayout) -> FileLayout | None:
    file.seek(0)
    if file.read(4) != b"OggS" or not (found := ogg_links.find_links(file)):
        return None
    links = [[link] for link in found.links]
    layout = replace(whole, stretches=links, container="ogg", missing_share=found.missing_share)
    if found.is_cut:
        layout.warnings.append("its last Ogg page is missing: it may be incomplete")
    return layout


def _frames_layout(file: BinaryIO, whole: FileLayout) -> FileLayout:
    """Return where the frames of an MP3 or ADTS file are; of another file, `whole`."""
    for name, read_header in frame_scan.HEADERS.items():
        if whole.container not in ("", name):
            continue
        audio = frame_scan.scan(file, read_header)
        # bytes that look like frames occur in other files too
        if audio and (whole.container or audio.size > whole.stretches[0][0][1] / 2):
            return _without_junk(replace(whole, container=name), audio)
    return whole


def _without_junk(layout: FileLayout, audio: frame_scan.AudioMap) -> FileLayout:
    layout.stretches = [audio.stretches]
    layout.missing_seconds = audio.missing_seconds
    if audio.junk >= _MIN_JUNK_WARNING:
        layout.warnings.append(f"{audio.junk} bytes in the file are not audio: they were skipped")
    if audio.is_cut:
        layout.warnings.append("the file ends in the middle of a frame: it may be incomplete")
    return layout
