"""Networks that are built from their weights equal torch's, whatever their arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.separate.engine.htdemucs.network import (
    ALL_BF16,
    ALL_F32,
    CAREFUL_BF16,
    Precisions,
    build_stages,
)
from functions.separate.engine.htdemucs.weights import read_network_file
from functions.separate.engine.openvino_backend.compile import compile_stages
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.openvino_backend.processor import has_bf16
from functions.separate.engine.torch_backend.convert import write_network
from functions.separate.engine.torch_backend.engine import TorchEngine
from microdemucs.models.architecture import read_architecture
from testing.random_network import random_network
from tests.integration.separate.engine.comparison import SOURCES, WEIGHTS, decibels
from tests.integration.separate.engine.htdemucs.networks import small_htdemucs

MIX = np.random.default_rng(1).standard_normal((2, 88_200)).astype(np.float32)

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16")


def engine_of(file: Path, precisions: Precisions = ALL_F32) -> OpenVinoEngine:
    network = read_network_file(file)
    architecture = read_architecture(network)
    stages = compile_stages(build_stages(architecture, network.tensors, precisions))
    return OpenVinoEngine(stages, architecture.segment, architecture.nfft, "f32")


@pytest.mark.parametrize(
    "make_network",
    [
        pytest.param(lambda: small_htdemucs(), id="htdemucs"),
        pytest.param(lambda: small_htdemucs([*SOURCES, "guitar", "piano"]), id="six sources"),
        pytest.param(lambda: small_htdemucs(["vocals", "rest"]), id="two sources"),
        pytest.param(lambda: small_htdemucs(bottom_channels=0), id="no bottleneck"),
        pytest.param(lambda: small_htdemucs(dconv_mode=0), id="no residuals"),
        pytest.param(lambda: small_htdemucs(dconv_mode=1), id="residuals in encoders"),
        pytest.param(lambda: small_htdemucs(dconv_mode=2), id="residuals in decoders"),
        pytest.param(lambda: small_htdemucs(dconv_depth=1), id="one residual layer"),
        pytest.param(lambda: small_htdemucs(dconv_comp=4), id="wider residuals"),
        pytest.param(lambda: small_htdemucs(nfft=2048), id="another transform"),
        pytest.param(lambda: small_htdemucs(depth=3, bottom_channels=16), id="three layers"),
        pytest.param(lambda: small_htdemucs(depth=5, norm_starts=5, nfft=8192), id="five layers"),
        pytest.param(lambda: small_htdemucs(channels=12), id="twelve channels"),
        pytest.param(lambda: small_htdemucs(context=0, context_enc=1), id="other contexts"),
        pytest.param(lambda: small_htdemucs(segment=1.7), id="another segment"),
        pytest.param(lambda: small_htdemucs(t_layers=1, t_heads=2), id="one layer"),
        pytest.param(lambda: small_htdemucs(t_hidden_scale=2.0), id="narrow transformer"),
        pytest.param(
            lambda: small_htdemucs(t_layer_scale=False, t_norm_out=False), id="plain layers"
        ),
        pytest.param(lambda: small_htdemucs(freq_emb=0.7, emb_scale=3), id="another embedding"),
    ],
)
def test_every_kind_of_htdemucs_equals_torch(
    tmp_path: Path, make_network: Callable[[], Any]
) -> None:
    original = make_network()
    write_network(original, tmp_path / "network.safetensors")
    engine = engine_of(tmp_path / "network.safetensors")
    mix = MIX[:, : int(original.segment * 44_100)]
    assert decibels(engine.separate(mix), TorchEngine(original).separate(mix)) < -100


def test_a_network_of_htdemucs_size_equals_torch(tmp_path: Path) -> None:
    original = random_network().half().float()
    write_network(original, tmp_path / "network.safetensors")
    engine = engine_of(tmp_path / "network.safetensors")
    assert decibels(engine.separate(MIX), TorchEngine(original).separate(MIX)) < -100


@needs_bf16
@pytest.mark.parametrize("precisions", [ALL_BF16, CAREFUL_BF16], ids=["all", "careful"])
def test_bf16_stays_within_40_decibels(precisions: Precisions) -> None:
    found = engine_of(WEIGHTS, precisions).separate(MIX)
    assert decibels(found, engine_of(WEIGHTS).separate(MIX)) < -40


@needs_bf16
def test_care_makes_bf16_more_exact() -> None:
    exact = engine_of(WEIGHTS).separate(MIX)
    plain, careful = (
        decibels(engine_of(WEIGHTS, precisions).separate(MIX), exact)
        for precisions in (ALL_BF16, CAREFUL_BF16)
    )
    assert careful < plain


@needs_bf16
def test_what_the_stages_pass_on_is_bf16() -> None:
    network = read_network_file(WEIGHTS)
    encoding, decoding = build_stages(read_architecture(network), network.tensors, ALL_BF16)
    passed = [(list(port.shape), port.element_type.get_type_name()) for port in encoding.outputs]
    taken = [(list(port.shape), port.element_type.get_type_name()) for port in decoding.inputs]
    assert passed == taken
    assert {kind for _, kind in taken} == {"bf16"}
