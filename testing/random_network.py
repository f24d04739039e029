"""A network of htdemucs' architecture and size with seeded random weights."""

from fractions import Fraction
from typing import Any

import torch
from demucs.htdemucs import HTDemucs

# The arguments of the released htdemucs (955717e8) that differ from the class's defaults.
ARGUMENTS: dict[str, Any] = {
    "sources": ["drums", "bass", "other", "vocals"],
    "channels": 48,
    "dconv_mode": 3,
    "bottom_channels": 512,
    "t_layers": 5,
    "t_dropout": 0.02,
    "samplerate": 44_100,
    "segment": Fraction(39, 5),
}


def random_network() -> HTDemucs:
    """Return an untrained network as demucs initializes it."""
    torch.manual_seed(1234)
    network: HTDemucs = HTDemucs(**ARGUMENTS)
    return network
