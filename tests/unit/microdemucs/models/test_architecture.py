from fractions import Fraction
from typing import Any

import pytest

from functions.separate.engine import CannotBuild
from functions.separate.engine.htdemucs.weights import NetworkFile, Tensors
from microdemucs.models.architecture import Architecture, read_architecture

SOURCES = ["drums", "bass", "other", "vocals"]


def network_file(class_name: str = "demucs.htdemucs.HTDemucs", **arguments: Any) -> NetworkFile:
    return NetworkFile(class_name, [], {"sources": SOURCES} | arguments, Tensors({}))


def test_the_defaults_are_those_of_the_class() -> None:
    architecture = read_architecture(network_file())
    assert architecture == Architecture(sources=tuple(SOURCES))
    assert architecture.segment == 10
    assert architecture.samples == 441_000


def test_arguments_may_be_positional() -> None:
    file = NetworkFile("demucs.htdemucs.HTDemucs", [SOURCES, 2, 32], {}, Tensors({}))
    assert read_architecture(file) == Architecture(sources=tuple(SOURCES), channels=32)


def test_arguments_of_training_do_not_matter() -> None:
    file = network_file(t_dropout=0.02, rescale=0.1, dconv_init=1e-3, unknown="x")
    assert read_architecture(file) == Architecture(sources=tuple(SOURCES))


def test_lengths_are_those_of_the_released_htdemucs() -> None:
    architecture = read_architecture(network_file(segment=Fraction(39, 5)))
    assert (architecture.samples, architecture.frames) == (343_980, 336)
    assert architecture.bin_counts == [2048, 512, 128, 32, 8]
    assert architecture.sample_counts == [343_980, 85_995, 21_499, 5_375, 1_344]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"class_name": "demucs.hdemucs.HDemucs"}, "HDemucs is not HTDemucs"),
        ({"cac": False}, "its cac is False; only True can be built"),
        ({"audio_channels": 1}, "its audio_channels is 1"),
        ({"samplerate": 48_000}, "its samplerate is 48000"),
        ({"multi_freqs": [0.5]}, "its multi_freqs is"),
        ({"rewrite": False}, "its rewrite is False"),
        ({"t_emb": "cape"}, "its t_emb is 'cape'"),
        ({"t_norm_first": False}, "norms before attention"),
        ({"t_group_norm": True}, "layer norms"),
        ({"t_sparse_self_attn": True}, "dense attention"),
        ({"t_gelu": False}, "GELU"),
        ({"t_layers": 0}, "no transformer"),
        ({"norm_starts": 1}, "group norms"),
        ({"kernel_size": 6}, "not twice an even stride"),
        ({"depth": 5, "norm_starts": 5}, "branches meet before the transformer"),
        ({"freq_emb": 0}, "no frequency embedding"),
        ({"t_norm_out": 3}, "several groups"),
        ({"sources": None}, "its arguments cannot be read"),
        ({"segment": "long"}, "its arguments cannot be read"),
    ],
)
def test_another_architecture_is_rejected_with_the_reason(
    arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(CannotBuild, match=reason):
        read_architecture(network_file(**arguments))


def test_every_second_layer_attends_to_the_other_branch() -> None:
    architecture = Architecture(sources=tuple(SOURCES))
    crossed = Architecture(sources=tuple(SOURCES), t_cross_first=True)
    assert [architecture.is_cross(layer) for layer in range(3)] == [False, True, False]
    assert [crossed.is_cross(layer) for layer in range(3)] == [True, False, True]
