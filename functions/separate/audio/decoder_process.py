r"""The child process that decodes: strangers' files are parsed away from secrets and other songs.

    python -m functions.separate.audio.decoder_process \
        MAX_SECONDS MAX_MEMORY_BYTES REPORT_FD < song > samples

decodes standard input twice. The first pass only looks: it writes a report
(functions.separate.audio.decoder_report) to REPORT_FD. The second pass writes interleaved float32
stereo at 44.1 kHz, as fast as the pipe is read. So the level of the whole song is known before its
first sample, and neither memory nor disk holds the decoded song. With `--from SAMPLE` instead of
REPORT_FD there is no first pass, and the output begins at that sample. The parent is
functions.separate.audio.decoder.
"""

import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt
import soxr

from functions.separate.audio.decoder_report import AudioRejected, write_report
from functions.separate.audio.duration import declared_seconds
from functions.separate.audio.normalization import RunningStatistics
from functions.separate.engine import SAMPLE_RATE, Floats
from microdemucs.audio_facts import AudioFacts

SONG = "/dev/fd/0"
# FFmpeg's names. None of them refers to other files or addresses, as HLS and concat do.
_CONTAINERS = "mp3,wav,flac,mov,aac,ogg"
_PROTOCOLS = "file"
_MIN_RATE, _MAX_RATE = 1_000, 768_000
_BLOCK = 1 << 16  # samples: Python works once per block
_PADDING_S = 0.25  # an encoder's: it does not make a song of the longest duration too long


class _Rejected(Exception):
    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass(slots=True)
class _Findings:
    """AudioFacts, as far as they are known while the song is being decoded."""

    container: str = ""
    codec: str = ""
    sample_rate: int = 0
    channels: int = 0
    declared_seconds: float | None = None
    seconds: float = 0.0
    packets: int = 0
    bad_packets: int = 0


def main(max_seconds: float, report_fd: int) -> None:
    """Report on standard input, then write its samples unless it is rejected."""
    report = inspect(max_seconds)
    os.write(report_fd, write_report(report))
    os.close(report_fd)
    if isinstance(report, AudioFacts):
        write_samples(max_seconds)


def write_samples(max_seconds: float, start: int = 0) -> None:
    """Decode standard input to standard output, from sample `start` on."""
    position = 0
    for block in _decode(max_seconds, _Findings()):
        if position + len(block) > start:
            _write(block[max(0, start - position) :])
        position += len(block)


def inspect(max_seconds: float) -> AudioFacts | AudioRejected:
    """Decode all of the song and return its facts, or why it is rejected."""
    findings = _Findings()
    level = RunningStatistics()
    try:
        for block in _decode(max_seconds, findings):
            level.add(block)
    except _Rejected as error:
        return AudioRejected(error.kind, error.detail)
    return AudioFacts(
        **asdict(findings),
        length=level.n,
        mean=level.mean,
        standard_deviation=level.standard_deviation,
    )


def _limit_resources(max_seconds: float, max_memory_bytes: int) -> None:
    """Limit what a file can make a decoder do; a second of audio takes some 1.5 ms to decode."""
    processor_seconds = int(30 + max_seconds / 10)
    for kind, limit in (
        (resource.RLIMIT_AS, max_memory_bytes),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(kind, (limit, limit))


def _decode(max_seconds: float, findings: _Findings) -> Iterator[Floats]:
    """Yield [n, 2] samples at 44.1 kHz, and set what is found in `findings`. Raises _Rejected."""
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": _PROTOCOLS}
    try:
        container = av.open(SONG, options=options)
    except av.error.FFmpegError as error:
        raise _unreadable() from error
    with container:
        if not container.streams.audio:
            raise _Rejected("not-audio", "it has no audio track")
        stream = container.streams.audio[0]
        findings.container = container.format.name
        findings.codec = stream.codec_context.name
        findings.sample_rate = stream.rate
        findings.channels = stream.channels
        findings.declared_seconds = declared_seconds(
            SONG, container.format.name, _ffmpeg_seconds(stream)
        )
        frames = _join_frames(_decode_frames(container, stream, findings))
        yield from _resample(frames, max_seconds, findings)


def _unreadable() -> _Rejected:
    with open(SONG, "rb") as file:
        header = file.read(12)
    if header[4:8] == b"ftyp":
        return _Rejected("truncated", "it is an M4A without its index, which is at the end")
    if header.startswith((b"fLaC", b"OggS", b"RIFF", b"ID3")):
        return _Rejected("corrupt", "its header is damaged, or nothing follows the header")
    return _Rejected("not-audio", "it is not an MP3, WAV, FLAC, M4A, AAC, Ogg or Opus file")


def _ffmpeg_seconds(stream: av.AudioStream) -> float | None:
    if not stream.duration or not stream.time_base:
        return None
    return float(stream.duration * stream.time_base)


def _decode_frames(
    container: av.container.InputContainer, stream: av.AudioStream, findings: _Findings
) -> Iterator[av.AudioFrame]:
    """Yield all frames that can be decoded. Bad packets are counted and skipped, as FFmpeg does."""
    try:
        for packet in container.demux(stream):
            try:
                findings.packets += packet.size > 0
                yield from packet.decode()
            except av.error.FFmpegError:
                findings.bad_packets += 1
    except av.error.FFmpegError:
        findings.bad_packets += 1  # the container itself ends here


def _join_frames(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Yield the same samples in fewer frames: a codec's own frame has about a thousand samples."""
    form, fifo = None, av.AudioFifo()
    for frame in frames:
        frame_form = frame.format.name, frame.layout.name, frame.sample_rate
        if frame_form != form:  # at first, and if a chained stream changes
            if joined := fifo.read():
                yield joined
            form, fifo = frame_form, av.AudioFifo()
        frame.pts = None  # gaps and jumps in the time stamps do not change the samples
        fifo.write(frame)
        if fifo.samples >= _BLOCK and (joined := fifo.read()):
            yield joined
    if joined := fifo.read():
        yield joined


def _resample(
    frames: Iterator[av.AudioFrame], max_seconds: float, findings: _Findings
) -> Iterator[Floats]:
    rate, resampler, count = 0, None, 0
    for frame in frames:
        if frame.sample_rate != rate:  # at first, and if a chained stream changes
            if resampler:
                yield resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)
            rate = frame.sample_rate
            if not _MIN_RATE <= rate <= _MAX_RATE:
                raise _Rejected("corrupt", f"its sample rate is {rate} Hz")
            differs = rate != SAMPLE_RATE
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 2, quality="HQ") if differs else None
        samples = _stereo(frame)
        findings.seconds += len(samples) / rate
        if findings.seconds > max_seconds + _PADDING_S:
            raise _Rejected("too-long", f"it is longer than {max_seconds:g} s")
        block = resampler.resample_chunk(samples) if resampler else samples
        count += len(block)
        yield block
    if resampler:
        last = resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)
        yield last
        count += len(last)
    if findings.seconds and not count:  # less than one sample at 44.1 kHz
        yield np.zeros((1, 2), np.float32)


def _stereo(frame: av.AudioFrame) -> Floats:
    """Return [n, 2] float32: mono doubled, and the first two of more channels (as demucs does)."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    channels = frame.layout.nb_channels
    by_sample = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
    stereo = by_sample[:, :2] if channels > 1 else np.repeat(by_sample, 2, axis=1)
    floats = stereo.astype(np.float32, order="C")
    if stereo.dtype == np.uint8:
        floats -= 128
        floats /= 128
    elif np.issubdtype(stereo.dtype, np.integer):
        floats /= -float(np.iinfo(stereo.dtype).min)
    elif not np.isfinite(floats.sum()):
        np.nan_to_num(floats, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    return floats


def _write(block: Floats) -> None:
    view = np.ascontiguousarray(block).reshape(-1).view(np.uint8).data
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    _limit_resources(float(sys.argv[1]), int(sys.argv[2]))
    if sys.argv[3] == "--from":
        write_samples(float(sys.argv[1]), int(sys.argv[4]))
    else:
        main(float(sys.argv[1]), int(sys.argv[3]))
