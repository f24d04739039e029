"""The child process that decodes: nobody's file is parsed where secrets and other songs are.

    python -m functions.separate.audio.decoder_process MAX_SECONDS MAX_MEMORY_BYTES VERDICT_FD < song > samples

decodes twice. The first time it only looks: one JSON object goes to VERDICT_FD, which tells what
was heard (container, codec, rate, channels, seconds, packets, bad packets, declared seconds;
length in samples, mean and deviation), or `refused` and `detail`. The second time it writes
interleaved float32 stereo at 44.1 kHz, as fast as the pipe is read. So the whole song's level is
known before its first sample, and neither memory nor disk holds the song. With `--from SAMPLE` in
the place of VERDICT_FD it does not look, and writes what comes from that sample on. The parent is
functions.separate.audio.decoder.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt
import soxr

from functions.separate.audio import duration
from functions.separate.audio.normalization import RunningStatistics
from functions.separate.engine import SAMPLE_RATE, Floats

SONG = "/dev/fd/0"
# FFmpeg's names. Nothing that refers to other files or addresses (HLS, concat) is among them.
_CONTAINERS = "mp3,wav,flac,mov,aac,ogg"
_PROTOCOLS = "file"
_RATES = (1_000, 768_000)
_BLOCK = 1 << 16  # samples: what Python does once for each
_PADDING_S = 0.25  # an encoder's: a song of exactly the longest time is not too long for it


class _Refused(Exception):
    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


def main(max_seconds: float, verdict: int) -> None:
    """Look at standard input, tell how it went, then write it to standard output."""
    heard = survey(max_seconds)
    os.write(verdict, json.dumps(heard).encode())
    os.close(verdict)
    if "refused" not in heard:
        write(max_seconds)


def write(max_seconds: float, start: int = 0) -> None:
    """Decode standard input to standard output, from sample `start` on."""
    at = 0
    for block in _decoded(max_seconds, {}):
        if at + len(block) > start:
            _write(block[max(0, start - at) :])
        at += len(block)


def survey(max_seconds: float) -> dict[str, Any]:
    """All that is to be known of the song before it is separated."""
    heard: dict[str, Any] = {}
    level = RunningStatistics()
    try:
        for block in _decoded(max_seconds, heard):
            level.add(block)
    except _Refused as refused:
        return {"refused": refused.kind, "detail": refused.detail}
    return heard | {"length": level.n, "mean": level.mean, "deviation": level.deviation}


def _confine(max_seconds: float, max_memory: int) -> None:
    """Limit what a file can make a decoder do; a second of audio takes some 1.5 ms to decode."""
    processor = int(30 + max_seconds / 10)
    for what, most in (
        (resource.RLIMIT_AS, max_memory),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(what, (most, most))


def _decoded(max_seconds: float, heard: dict[str, Any]) -> Iterator[Floats]:
    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": _PROTOCOLS}
    try:
        container = av.open(SONG, options=options)
    except av.error.FFmpegError as error:
        raise _unreadable() from error
    with container:
        if not container.streams.audio:
            raise _Refused("not-audio", "it has no audio track")
        stream = container.streams.audio[0]
        heard |= {
            "container": container.format.name,
            "codec": stream.codec_context.name,
            "rate": stream.rate,
            "channels": stream.channels,
            "declared": duration.seconds(SONG, container.format.name, _of_tables(stream)),
            "seconds": 0.0,
            "packets": 0,
            "bad": 0,
        }
        frames = _joined(_frames(container, stream, heard))
        yield from _resampled(frames, max_seconds, heard)


def _unreadable() -> _Refused:
    with open(SONG, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return _Refused("truncated", "an M4A without its index, which stands at the end")
    if head.startswith((b"fLaC", b"OggS", b"RIFF", b"ID3")):
        return _Refused("corrupt", "its header is damaged, or nothing follows it")
    return _Refused("not-audio", "it is no MP3, WAV, FLAC, M4A, AAC, Ogg or Opus")


def _of_tables(stream: av.AudioStream) -> float | None:
    if not stream.duration or not stream.time_base:
        return None
    return float(stream.duration * stream.time_base)


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream, heard: dict[str, Any]
) -> Iterator[av.AudioFrame]:
    """All frames that can be decoded: what cannot is counted and left out, as FFmpeg does."""
    try:
        for packet in container.demux(stream):
            try:
                heard["packets"] += packet.size > 0
                yield from packet.decode()
            except av.error.FFmpegError:
                heard["bad"] += 1
    except av.error.FFmpegError:
        heard["bad"] += 1  # the container itself ends here


def _joined(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """The same samples in fewer frames: a codec's own has a thousand samples."""
    form, fifo = None, av.AudioFifo()
    for frame in frames:
        its_form = frame.format.name, frame.layout.name, frame.sample_rate
        if its_form != form:  # at first, and where a chained stream changes
            if joined := fifo.read():
                yield joined
            form, fifo = its_form, av.AudioFifo()
        frame.pts = None  # holes and jumps in time are nothing to the samples
        fifo.write(frame)
        if fifo.samples >= _BLOCK and (joined := fifo.read()):
            yield joined
    if joined := fifo.read():
        yield joined


def _resampled(
    frames: Iterator[av.AudioFrame], max_seconds: float, heard: dict[str, Any]
) -> Iterator[Floats]:
    rate, resampler, given = 0, None, 0
    for frame in frames:
        if frame.sample_rate != rate:  # at first, and where a chained stream changes
            if resampler:
                yield resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)
            rate = frame.sample_rate
            if not _RATES[0] <= rate <= _RATES[1]:
                raise _Refused("corrupt", f"a sample rate of {rate} Hz")
            differs = rate != SAMPLE_RATE
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 2, quality="HQ") if differs else None
        samples = _stereo(frame)
        heard["seconds"] += len(samples) / rate
        if heard["seconds"] > max_seconds + _PADDING_S:
            raise _Refused("too-long", f"longer than {max_seconds:g} s")
        block = resampler.resample_chunk(samples) if resampler else samples
        given += len(block)
        yield block
    if resampler:
        last = resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)
        yield last
        given += len(last)
    if heard["seconds"] and not given:  # less than one sample at 44.1 kHz
        yield np.zeros((1, 2), np.float32)


def _stereo(frame: av.AudioFrame) -> Floats:
    """[n, 2] float32: mono doubled, of more channels the first two (as demucs does)."""
    samples: npt.NDArray[Any] = frame.to_ndarray()
    channels = frame.layout.nb_channels
    by_sample = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
    stereo = by_sample[:, :2] if channels > 1 else np.repeat(by_sample, 2, axis=1)
    made = stereo.astype(np.float32, order="C")
    if stereo.dtype == np.uint8:
        made -= 128
        made /= 128
    elif np.issubdtype(stereo.dtype, np.integer):
        made /= -float(np.iinfo(stereo.dtype).min)
    elif not np.isfinite(made.sum()):
        np.nan_to_num(made, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    return made


def _write(block: Floats) -> None:
    view = np.ascontiguousarray(block).reshape(-1).view(np.uint8).data
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    _confine(float(sys.argv[1]), int(sys.argv[2]))
    if sys.argv[3] == "--from":
        write(float(sys.argv[1]), int(sys.argv[4]))
    else:
        main(float(sys.argv[1]), int(sys.argv[3]))
