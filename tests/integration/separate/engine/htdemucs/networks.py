"""Small networks of htdemucs' architecture, with random weights."""

from typing import Any

import torch
from demucs.htdemucs import HTDemucs

from tests.integration.separate.engine.comparison import SOURCES


def small_htdemucs(sources: list[str] = SOURCES, **changes: Any) -> Any:
    """Return an HTDemucs with these changes of its arguments."""
    torch.manual_seed(3)
    arguments: dict[str, Any] = {
        "channels": 8,
        "dconv_mode": 3,
        "bottom_channels": 32,
        "t_layers": 3,
        "t_heads": 4,
        "segment": 2,
    }
    return HTDemucs(sources, **(arguments | changes)).eval().requires_grad_(False)
