import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from functions.upload.encoding.mix_graph import mix_and_track_blocks, mix_blocks
from functions.upload.encoding.stem_source import StemSource, UnreadableStem
from functions.upload.encoding.task import Gains
from testing.encoded_stems import Samples, encode, make_samples

LENGTH = 20_011
STEMS = [make_samples(seed, LENGTH) for seed in range(3)]


def sources(stems: Sequence[Samples], **options: Any) -> list[StemSource]:
    chosen: dict[str, Any] = {"format": "wav", "bits": 32, "clip_mode": "none"} | options
    return [StemSource(io.BytesIO(encode(stem, **chosen)), chosen["format"]) for stem in stems]


def mixed(stems: list[StemSource], gains: Sequence[Gains], sample_format: str = "fltp") -> Samples:
    blocks = [block.to_ndarray() for block in mix_blocks(stems, gains, sample_format)]
    return np.concatenate(blocks, axis=1)


def test_the_mix_is_the_sum_of_the_stems() -> None:
    mix = mixed(sources(STEMS), [Gains()] * 3)
    assert mix.shape == (2, LENGTH)
    assert np.abs(mix - sum(STEMS)).max() < 1e-6


def test_each_side_has_the_gains_of_its_stem() -> None:
    gains = [Gains(0.5, 0.1, 0.0, 0.7), Gains(0.0, 0.0, 0.0, 0.0), Gains(1.0, 0.0, 0.3, 2.0)]
    mix = mixed(sources(STEMS), gains)
    first, last = STEMS[0], STEMS[2]
    assert np.abs(mix[0] - (0.5 * first[0] + 0.1 * first[1] + last[0])).max() < 1e-6
    assert np.abs(mix[1] - (0.7 * first[1] + 0.3 * last[0] + 2 * last[1])).max() < 1e-6


def test_one_stem_alone_is_a_mix() -> None:
    assert np.abs(mixed(sources(STEMS[:1]), [Gains()]) - STEMS[0]).max() < 1e-6


def test_a_shorter_stem_ends_earlier() -> None:
    short = STEMS[1][:, :5000]
    mix = mixed(sources([STEMS[0], short]), [Gains()] * 2)
    assert np.abs(mix[:, :5000] - STEMS[0][:, :5000] - short).max() < 1e-6
    assert np.abs(mix[:, 5000:] - STEMS[0][:, 5000:]).max() < 1e-6


def test_integers_beyond_full_scale_are_clipped() -> None:
    loud = np.full((2, 4000), 0.8, np.float32)
    mix = mixed(sources([loud, loud]), [Gains()] * 2, "s16p")
    assert (mix == 32767).all()


def test_the_padding_of_an_mp3_is_cut_off() -> None:
    mix = mixed(sources(STEMS[:2], format="mp3", bits=16), [Gains()] * 2)
    assert mix.shape == (2, LENGTH)


def test_stems_of_another_rate_are_resampled() -> None:
    mix = mixed(sources(STEMS[:2], format="mp3", bits=16, bitrate=64), [Gains()] * 2)
    assert mix.shape[1] == pytest.approx(LENGTH, abs=2)


@pytest.mark.parametrize("tracks", [[1, 2, 3], [1, 2, 2], [2, 1, 2], [1, 1, 1]])
def test_the_tracks_come_beside_the_mix_and_have_the_sums_of_their_stems(tracks: list[int]) -> None:
    parts: dict[int, list[Any]] = {}
    for number, block in mix_and_track_blocks(sources(STEMS), tracks):
        parts.setdefault(number, []).append(block.to_ndarray())
    joined = {number: np.concatenate(blocks, axis=1) for number, blocks in parts.items()}
    assert joined.keys() == {0, *tracks}
    assert np.abs(joined.pop(0) - sum(STEMS)).max() < 1e-6
    for number, samples in joined.items():
        expected = sum(stem for stem, track in zip(STEMS, tracks, strict=True) if track == number)
        assert np.abs(samples - expected).max() < 1e-6


def test_blocks_come_before_the_stems_are_read_to_their_end() -> None:
    long = np.concatenate([STEMS[0]] * 80, axis=1)
    files = [io.BytesIO(encode(long, format="wav")) for _ in range(2)]
    blocks = mix_blocks([StemSource(file, "wav") for file in files], [Gains()] * 2, "s16")
    next(iter(blocks))
    assert max(file.tell() for file in files) < len(files[0].getvalue()) / 4


def test_a_stem_without_samples_is_unreadable() -> None:
    empty = np.zeros((2, 0), np.float32)
    with pytest.raises(UnreadableStem):
        mixed(sources([STEMS[0], empty], bits=16), [Gains()] * 2)
