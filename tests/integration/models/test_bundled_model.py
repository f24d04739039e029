"""The bundled model is as its README describes it."""

from demucs.hf import load_safetensors_model

from functions.separate.engine.locate import BUNDLED
from microdemucs.paths import MODELS

WEIGHTS = MODELS / BUNDLED / f"{BUNDLED}.safetensors"


def test_it_has_the_described_number_of_parameters() -> None:
    network = load_safetensors_model(WEIGHTS)
    assert sum(tensor.numel() for tensor in network.parameters()) == 1_567_064
