"""The rewritten network equals demucs' between its transforms."""

from typing import Any

import numpy as np
import pytest
import torch

from functions.separate.engine.export.branches import NotExportable
from functions.separate.engine.export.network import Network
from tests.integration.separate.engine.comparison import decibels
from tests.integration.separate.engine.export.networks import small_htdemucs


@pytest.fixture(scope="module")
def original() -> Any:
    return small_htdemucs()


def test_both_stages_together_equal_demucs(original: Any) -> None:
    mix = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 2, 88_200))).float()
    network = Network(original)
    expected = original(mix)
    # as HTDemucs.forward: normalize both inputs, and undo it afterwards
    z = torch.view_as_real(original._spec(mix)[0].transpose(1, 2)).contiguous()
    spectrum = (z - z.mean()) / (1e-5 + z.std())
    wave = (mix - mix.mean()) / (1e-5 + mix.std())
    spectra, waves = network.decoding(*network.encoding(spectrum, wave.transpose(1, 2)))
    estimates = torch.view_as_complex((spectra * z.std() + z.mean()).contiguous())
    inverse = original._ispec(estimates.transpose(1, 2)[None], 88_200)[0]
    found = (inverse + waves * mix.std() + mix.mean()).reshape(1, 4, 2, 88_200)
    assert decibels(found.numpy(), expected.numpy()) < -100


def test_the_example_inputs_have_the_shapes_of_a_segment(original: Any) -> None:
    spectrum, mix = Network(original).example_inputs
    assert spectrum.shape == (2, 87, 2048, 2)
    assert mix.shape == (1, 88_200, 2)


def test_the_original_is_not_changed(original: Any) -> None:
    before = {name: value.clone() for name, value in original.state_dict().items()}
    Network(original)
    after = original.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_another_architecture_is_rejected() -> None:
    with pytest.raises(NotExportable, match="no transformer"):
        Network(small_htdemucs(t_layers=0))
