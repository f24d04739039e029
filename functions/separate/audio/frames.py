"""Decode a stream's frames, with silence in the place of damaged ones."""

from collections.abc import Iterator

import av
import av.error
from av.container import InputContainer

from functions.separate.audio.findings import Findings
from functions.separate.audio.flac_frames import split_frames
from functions.separate.audio.memory_limit import raise_at_limit
from functions.separate.audio.ogg_links import MAX_PAGE_BYTES
from functions.separate.audio.song_file import SongFile
from functions.separate.engine import SAMPLE_RATE

_BLOCK = 1 << 16  # samples: Python works once per block
_UNREAD_S = 0.5  # what a demuxer may leave at the end of a file that is complete
_WITHOUT_INDEX = ("mp3", "aac", "ogg")  # all of such a file is audio
_MAX_PLANES = 8  # FFmpeg keeps no more in the frame itself (AV_NUM_DATA_POINTERS)
_MAX_GAP_S = 60  # of damage that is filled with silence; more is a wrong time stamp

_Decoded = tuple["av.Packet[av.AudioStream]", list[av.AudioFrame | float]]


def decode_frames(
    part: SongFile, container: InputContainer, stream: av.AudioStream, findings: Findings
) -> Iterator[av.AudioFrame]:
    """Yield all frames that can be decoded, and silence for those that cannot."""
    position = 0
    last: av.AudioFrame | None = None
    decode = _decode_numbered if container.format.name == "flac" else _decode
    try:
        for packet, decoded in decode(container, stream):
            position = max(position, (packet.pos or 0) + packet.size)
            for frame in decoded:
                if isinstance(frame, av.AudioFrame) and _has_too_many_planes(frame):
                    findings.missing_seconds += frame.samples / frame.sample_rate
                    findings.warn(f"it has {frame.layout.nb_channels} channels: 8 can be read")
                elif isinstance(frame, av.AudioFrame):
                    last = frame
                    yield frame
                elif last and frame < _MAX_GAP_S:
                    yield _silence(last, frame, findings)
                else:
                    findings.missing_seconds += frame
        if container.format.name in _WITHOUT_INDEX and len(container.streams) == 1:
            _count_unread(part.size, position, findings, is_end=True)
    except av.error.FFmpegError as error:
        raise_at_limit(error)
        _count_unread(part.size, position, findings, is_end=False)


def _has_too_many_planes(frame: av.AudioFrame) -> bool:
    """Whether PyAV would read behind the end of the list of the frame's planes."""
    return frame.format.is_planar and frame.layout.nb_channels > _MAX_PLANES


def _decode(container: InputContainer, stream: av.AudioStream) -> Iterator[_Decoded]:
    """Yield each packet with its frames, or with the seconds of damage."""
    for packet in container.demux(stream):
        try:
            yield packet, list(packet.decode())
        except av.error.FFmpegError as error:
            raise_at_limit(error)
            yield packet, [_seconds_of(packet, stream)]


def _decode_numbered(container: InputContainer, stream: av.AudioStream) -> Iterator[_Decoded]:
    """As _decode, for raw FLAC: each frame has the number of its first sample."""
    rate = stream.rate or SAMPLE_RATE
    expected: float | None = None
    for packet in container.demux(stream):
        try:
            frames = list[av.AudioFrame | float](packet.decode())
        except av.error.FFmpegError as error:
            raise_at_limit(error)
            frames = list(_decode_one_by_one(bytes(packet), stream))
        start = None if packet.pts is None else float(packet.pts * (packet.time_base or 0))
        if start is not None and expected is not None and start - expected > 1 / rate:
            frames.insert(0, start - expected)
            expected = start
        expected = (expected or start or 0.0) + sum(
            frame if isinstance(frame, float) else frame.samples / rate for frame in frames
        )
        yield packet, frames


def _decode_one_by_one(data: bytes, stream: av.AudioStream) -> Iterator[av.AudioFrame | float]:
    for frame, samples in split_frames(data):
        try:
            yield from stream.codec_context.decode(av.Packet(frame))
        except av.error.FFmpegError as error:
            raise_at_limit(error)
            yield samples / (stream.rate or SAMPLE_RATE)


def _seconds_of(packet: "av.Packet[av.AudioStream]", stream: av.AudioStream) -> float:
    if packet.duration and packet.time_base:
        return float(packet.duration * packet.time_base)
    return (stream.codec_context.frame_size or 1024) / (stream.rate or SAMPLE_RATE)


def _silence(like: av.AudioFrame, seconds: float, findings: Findings) -> av.AudioFrame:
    """Return silence in the place of damaged audio, in the form of the frame before."""
    findings.missing_seconds += seconds
    findings.silent_seconds += seconds
    silence = av.AudioFrame(
        like.format.name, like.layout.name, max(1, round(seconds * like.sample_rate))
    )
    silence.sample_rate = like.sample_rate
    for plane in silence.planes:
        plane.update(bytes(plane.buffer_size))
    return silence


def _count_unread(size: int, read: int, findings: Findings, *, is_end: bool) -> None:
    """Tell what it means that the demuxer stopped after `read` of `size` bytes."""
    # a packet's position is that of its Ogg page
    unread = size - read - (MAX_PAGE_BYTES if findings.container == "ogg" else 0)
    if unread <= 0:
        return
    is_rate_known = read and findings.seconds
    seconds = unread * findings.seconds / read if is_rate_known else float("inf")
    if seconds > _UNREAD_S:
        findings.ends_early = True
    elif not is_end:
        findings.missing_seconds += seconds


def join_frames(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Yield the same samples in fewer frames: a codec's own frame has about a thousand samples."""
    form, fifo = None, av.AudioFifo()
    for frame in frames:
        frame_form = frame.format.name, frame.layout.name, frame.sample_rate
        if frame_form != form:  # at first, and if a stream changes midway
            if joined := fifo.read():
                yield joined
            form, fifo = frame_form, av.AudioFifo()
        frame.pts = None  # gaps and jumps in the time stamps do not change the samples
        fifo.write(frame)
        if fifo.samples >= _BLOCK and (joined := fifo.read()):
            yield joined
    if joined := fifo.read():
        yield joined
