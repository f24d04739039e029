"""Mix stems with FFmpeg's filters: each with its gains, all in time, without normalization."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction

from av.audio.frame import AudioFrame
from av.error import EOFError as EndOfStream
from av.filter import Graph
from av.filter.context import FilterContext

from functions.upload.encoding.stem_source import StemSource
from functions.upload.encoding.task import STEM_RATE, Gains

_STEM_FORMAT = f"sample_rates={STEM_RATE}:sample_fmts=fltp:channel_layouts=stereo"


def mix_blocks(
    sources: Sequence[StemSource], gains: Sequence[Gains], sample_format: str
) -> Iterator[AudioFrame]:
    """Yield the mix of all sources in this sample format; samples beyond full scale are clipped."""
    for number, block in _run(sources, gains, sample_format):
        if number == 0:
            yield block


def mix_and_track_blocks(
    sources: Sequence[StemSource], tracks: Sequence[int]
) -> Iterator[tuple[int, AudioFrame]]:
    """Yield blocks of float samples, each with the number of its track: 0 is the mix of all.

    `tracks` are those of the sources, from 1 on; those of one track are added up.
    """
    yield from _run(sources, [Gains()] * len(sources), "fltp", tracks)


def _run(
    sources: Sequence[StemSource],
    gains: Sequence[Gains],
    sample_format: str,
    tracks: Sequence[int] = (),
) -> Iterator[tuple[int, AudioFrame]]:
    """Decode the sources in step, so that no more than some blocks are in memory."""
    decoded = [source.frames() for source in sources]
    waiting = [next(frames, None) for frames in decoded]  # each has one
    graph = Graph()  # FilterContexts do not keep it alive
    lengths = [source.length for source in sources]
    inputs, outputs = _build(graph, waiting, lengths, gains, sample_format, tracks)
    positions = [Fraction(0)] * len(sources)
    unfinished = set(range(len(sources)))
    while unfinished:
        number = min(unfinished, key=positions.__getitem__)
        frame = waiting[number]
        inputs[number].push(frame)
        if frame is None:
            unfinished.discard(number)
        else:
            positions[number] += Fraction(frame.samples, frame.sample_rate)
            waiting[number] = next(decoded[number], None)
        yield from _pull(outputs)
    yield from _pull(outputs)


def _build(
    graph: Graph,
    first: Sequence[AudioFrame | None],
    lengths: Sequence[int | None],
    gains: Sequence[Gains],
    sample_format: str,
    tracks: Sequence[int],
) -> tuple[list[FilterContext], list[FilterContext]]:
    """Return the graph's inputs, and its outputs: the mix, then the tracks, if there are any."""
    longest = max(filter(None, lengths), default=0) if all(lengths) else 0
    mix = graph.add("amix", f"inputs={len(first)}:normalize=0:duration=longest")
    mixed = _chain(graph, mix, "aformat", f"sample_fmts={sample_format}")
    inputs, outputs = [], [_chain(graph, mixed, "abuffersink", "")]
    stems_of: dict[int, list[FilterContext]] = {track: [] for track in sorted(tracks)}
    for number, (frame, length, gain) in enumerate(zip(first, lengths, gains, strict=True)):
        assert frame
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        inputs.append(source)
        stem = _chain(graph, source, "aresample", str(STEM_RATE))
        stem = _chain(graph, stem, "aformat", _STEM_FORMAT)
        if length:  # what the encoder of an MP3 has added is not part of the stem
            stem = _chain(graph, stem, "atrim", f"end_sample={length}")
        if tracks:
            if longest:  # players of a stem.mp4 take one length for all tracks
                stem = _chain(graph, stem, "apad", f"whole_len={longest}")
            stem = _chain(graph, stem, "asplit", "2")
            stems_of[tracks[number]].append(stem)
        _chain(graph, stem, "pan", _pan(gain)).link_to(mix, 0, number)
    for stems in stems_of.values():
        track = graph.add("amix", f"inputs={len(stems)}:normalize=0:duration=longest")
        for position, stem in enumerate(stems):
            stem.link_to(track, 1, position)
        outputs.append(_chain(graph, track, "abuffersink", ""))
    graph.configure()
    return inputs, outputs


def _chain(graph: Graph, source: FilterContext, name: str, arguments: str) -> FilterContext:
    """Add a filter behind `source`, and return it."""
    added = graph.add(name, arguments)
    source.link_to(added)
    return added


def _pan(gains: Gains) -> str:
    left = f"{gains.left_to_left:.9f}*c0+{gains.right_to_left:.9f}*c1"
    right = f"{gains.left_to_right:.9f}*c0+{gains.right_to_right:.9f}*c1"
    return f"stereo|c0={left}|c1={right}"


def _pull(outputs: Sequence[FilterContext]) -> Iterator[tuple[int, AudioFrame]]:
    for number, output in enumerate(outputs):
        with suppress(BlockingIOError, EndOfStream):
            while True:
                block = output.pull()
                assert isinstance(block, AudioFrame)
                yield number, block
