"""The child process that decodes: strangers' files are parsed away from secrets and other songs.

The child decodes standard input twice. The first pass only looks: it writes a report to
`report_fd`. The second pass writes interleaved float32 stereo at 44.1 kHz, as fast as the pipe is
read. So the level of the whole song is known before its first sample, and neither memory nor disk
holds the decoded song. Without `report_fd` there is no first pass.

functions.separate.audio.start_decoder is the child's entry, functions.separate.audio.decoder its
parent.
"""

import base64
import json
import os
import re
import resource
from collections.abc import Iterator
from dataclasses import asdict
from typing import BinaryIO, NamedTuple

import av
import av.error
import av.subtitles.codeccontext  # PyAV imports both when it opens a file: the sandbox forbids it
import av.subtitles.stream
import numpy as np
import soxr
from av.container import InputContainer

from functions.separate.audio import sandbox
from functions.separate.audio.decoder_report import (
    NO_SANDBOX,
    DecoderReport,
    DecoderTask,
    Rejection,
)
from functions.separate.audio.duration import HEAD_BYTES, caf_seconds, declared_seconds
from functions.separate.audio.file_layout import FileLayout, open_container, read_layout
from functions.separate.audio.findings import Findings
from functions.separate.audio.frames import decode_frames, join_frames
from functions.separate.audio.overs import Level
from functions.separate.audio.song_file import SongFile
from functions.separate.audio.stereo import samples_of, silence_impossible, to_stereo
from functions.separate.audio.wma_priming import KEEP_PRIMING, ffmpeg_priming
from functions.separate.engine import SAMPLE_RATE, Floats
from microdemucs import formats

SONG = "/dev/fd/0"
_MIN_RATE, _MAX_RATE = 1_000, 768_000
_PADDING_S = 0.25  # an encoder's: it does not make a song of the longest duration too long
_MAX_FILES = 1_000  # that are joined in one: links of a chained Ogg
_CHECKED_CODECS = ("flac", "wavpack")  # each frame has a checksum


class _Rejected(Exception):
    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


class _Block(NamedTuple):
    """[n, 2] samples at the song's own rate."""

    samples: Floats
    rate: int


def decode_in_this_process(task: DecoderTask) -> None:
    """Report on standard input if asked to, then write its samples unless it is rejected.

    From here on the process has the task's limits, and is locked in.
    """
    _limit_resources(task.max_seconds, task.max_memory_bytes)
    with open(SONG, "rb") as file:
        os.dup2(file.fileno(), 0)  # the parent's descriptor may be for writing, too
        try:
            sandbox.enter()
        except OSError:
            raise SystemExit(NO_SANDBOX) from None
        layout = read_layout(file)
        is_clipped = task.is_clipped
        if task.report_fd is not None:
            report = inspect(file, layout, task)
            _write_all(task.report_fd, json.dumps(asdict(report)).encode())
            os.close(task.report_fd)
            if not report.audio:
                return
            is_clipped = report.audio.is_clipped
        write_samples(file, layout, task, is_clipped)


def write_samples(file: BinaryIO, layout: FileLayout, task: DecoderTask, is_clipped: bool) -> None:
    """Decode `file` to standard output, from the task's first sample on."""
    position = 0
    for block in _decode(file, layout, task, Findings()):
        if position + len(block) > task.start:
            wanted = block[max(0, task.start - position) :]
            _write_all(1, _bytes_of(wanted.clip(-1, 1) if is_clipped else wanted))
        position += len(block)


def inspect(file: BinaryIO, layout: FileLayout, task: DecoderTask) -> DecoderReport:
    """Decode all of the song and return its facts, or why it is rejected."""
    findings = Findings(
        missing_seconds=layout.missing_seconds, tags=layout.tags, warnings=list(layout.warnings)
    )
    level = Level()
    try:
        for block in _decode(file, layout, task, findings):
            level.add(block)
    except _Rejected as error:
        return DecoderReport(Rejection(error.kind, error.detail))
    if layout.missing_share:
        share = min(layout.missing_share, 0.999)
        findings.missing_seconds += findings.seconds * share / (1 - share)
    cover = base64.b64encode(layout.cover).decode()
    return DecoderReport(audio=findings.facts(level), cover_base64=cover)


def _limit_resources(max_seconds: float, max_memory_bytes: int) -> None:
    """Limit what a file can make a decoder do; a second of audio takes some 1.5 ms to decode."""
    processor_seconds = int(30 + max_seconds / 10)
    # at the first limit comes SIGXCPU, which says why the child ends; at the second SIGKILL
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 5))
    for kind, limit in (
        (resource.RLIMIT_AS, max_memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))


def _decode(
    file: BinaryIO, layout: FileLayout, task: DecoderTask, findings: Findings
) -> Iterator[Floats]:
    """Yield [n, 2] samples at 44.1 kHz, and set what is found in `findings`. Raises _Rejected."""
    blocks = _decode_files(file, layout, task, findings)
    yield from _resample(blocks, task.max_seconds, findings)


def _decode_files(
    file: BinaryIO, layout: FileLayout, task: DecoderTask, findings: Findings
) -> Iterator[_Block]:
    if len(layout.stretches) > _MAX_FILES:
        raise _Rejected("corrupt", f"more than {_MAX_FILES} files are joined in it")
    error: Exception | None = None
    for part in layout.files(file):
        head = part.read(HEAD_BYTES)
        part.seek(0)
        try:
            container = open_container(part)
        except (av.error.FFmpegError, ValueError) as refused:
            error = refused
            continue
        with container:
            if not container.streams.audio:
                continue
            stream = container.streams.audio[0]
            _ensure_known_codec(stream)
            if not findings.container:
                _describe(file, head, layout, container, stream, findings)
            elif stream.rate != findings.sample_rate or stream.channels != findings.channels:
                findings.warn(
                    "its sample rate or number of channels changes: all of it was decoded"
                )
            if stream.codec_context.name in _CHECKED_CODECS:
                stream.codec_context.options = {"err_detect": "crccheck+explode"}
            priming = ffmpeg_priming(container, stream)
            if priming:
                stream.codec_context.options = KEEP_PRIMING
            blocks = _decode_stream(part, container, stream, task, findings)
            yield from _without_first(priming, blocks)
    if not findings.container:
        raise _unreadable(file) if error else _Rejected("not-audio", "it has no audio track")
    findings.ends_early |= error is not None


def _ensure_known_codec(stream: av.AudioStream) -> None:
    """Raise _Rejected unless the codec is one of those that songs may have."""
    context: av.AudioCodecContext | None = stream.codec_context  # None if FFmpeg has no decoder
    if not context or context.name not in formats.CODECS:
        name = f"the codec {context.name}" if context else "an unknown codec"
        raise _Rejected("corrupt", f"it has {name}, which is not read; convert it, to FLAC say")
    context.thread_count = 1  # the sandbox lets no other start


def _describe(
    file: BinaryIO,
    head: bytes,
    layout: FileLayout,
    container: InputContainer,
    stream: av.AudioStream,
    findings: Findings,
) -> None:
    findings.container = container.format.name
    findings.codec = stream.codec_context.name
    findings.sample_rate = stream.rate
    findings.channels = stream.channels
    findings.bits = layout.valid_bits or _bits(file, stream) if findings.is_exact else None
    findings.declared_seconds = _declared_seconds(file, head, layout, container, stream)
    if findings.declared_seconds is None and "matroska" in findings.container:
        findings.video_seconds = (container.duration or 0) / av.time_base


def _declared_seconds(
    file: BinaryIO,
    head: bytes,
    layout: FileLayout,
    container: InputContainer,
    stream: av.AudioStream,
) -> float | None:
    name, seconds = container.format.name, None
    if layout.container == "wav":
        return layout.declared_seconds
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:  # video may be longer
        seconds = container.duration / av.time_base
    if name == "caf":
        return caf_seconds(file) or seconds
    return declared_seconds(head, name, seconds)


def _bits(file: BinaryIO, stream: av.AudioStream) -> int | None:
    """Bits per sample of a codec that keeps every sample."""
    context = stream.codec_context
    header = context.extradata or b""
    if context.name == "flac" and len(header) >= 34:  # STREAMINFO (RFC 9639, section 8.2)
        return ((header[12] & 1) << 4 | header[13] >> 4) + 1
    if context.name == "alac" and len(header) >= 36:  # Apple's magic cookie, bitDepth
        return header[17]
    if context.name == "wavpack":
        file.seek(0)
        block = file.read(28)
        return 8 * (block[24] & 3) + 8 if block.startswith(b"wvpk") else None
    digits = re.match(r"pcm_[a-z](\d+)", context.name)
    return int(digits[1]) if digits else None


def _unreadable(file: BinaryIO) -> _Rejected:
    file.seek(0)
    header = file.read(12)
    if header[4:8] == b"ftyp":
        return _Rejected("truncated", "it is an MP4 without its index, which is at the end")
    if header.startswith((b"fLaC", b"OggS", b"RIFF", b"ID3", b"FORM", b"caff", b"\x1aE\xdf\xa3")):
        return _Rejected("corrupt", "its header is damaged, or nothing follows the header")
    return _Rejected("not-audio", f"it is none of: {', '.join(formats.NAMES)}")


def _decode_stream(
    part: SongFile,
    container: InputContainer,
    stream: av.AudioStream,
    task: DecoderTask,
    findings: Findings,
) -> Iterator[_Block]:
    for frame in join_frames(decode_frames(part, container, stream, findings)):
        samples, rate = samples_of(frame), frame.sample_rate
        if frame.format.name.startswith(("flt", "dbl")):
            silenced = silence_impossible(samples, is_lossy=not findings.is_exact)
            findings.not_numbers += silenced.not_numbers
            findings.too_large += silenced.too_large
            findings.silent_seconds += silenced.too_large / rate
            findings.missing_seconds += silenced.too_large / rate
        names = [channel.name for channel in frame.layout.channels]
        if len(names) > 2:
            dropped, mixed = "all but the first two were dropped", "they were mixed down"
            how = dropped if task.front_only else mixed
            findings.warn(f"it has {len(names)} channels: {how}")
        yield _Block(to_stereo(samples, names, front_only=task.front_only), rate)


def _without_first(count: int, blocks: Iterator[_Block]) -> Iterator[_Block]:
    for samples, rate in blocks:
        if len(samples) > count:
            yield _Block(samples[count:], rate)
        count = max(0, count - len(samples))


def _resample(blocks: Iterator[_Block], max_seconds: float, findings: Findings) -> Iterator[Floats]:
    rate, resampler, count = 0, None, 0
    for samples, block_rate in blocks:
        if block_rate != rate:  # at first, and if the song changes midway
            if resampler:
                last = resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)
                yield last
                count += len(last)
            rate = block_rate
            if not _MIN_RATE <= rate <= _MAX_RATE:
                raise _Rejected("corrupt", f"its sample rate is {rate} Hz")
            differs = rate != SAMPLE_RATE
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 2, quality="HQ") if differs else None
        findings.seconds += len(samples) / rate
        if findings.seconds > max_seconds + _PADDING_S:
            raise _Rejected("too-long", f"it is longer than {max_seconds:g} s")
        resampled = resampler.resample_chunk(samples) if resampler else samples
        count += len(resampled)
        yield resampled
    if resampler:
        last = resampler.resample_chunk(np.zeros((0, 2), np.float32), last=True)
        yield last
        count += len(last)
    if findings.seconds and not count:  # less than one sample at 44.1 kHz
        yield np.zeros((1, 2), np.float32)


def _bytes_of(block: Floats) -> memoryview:
    return np.ascontiguousarray(block).reshape(-1).view(np.uint8).data


def _write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
