"""The settings of models and engines. docs/operations.md describes them for operators."""

from dataclasses import dataclass
from pathlib import Path

from functions.separate.engine.hub import NAMESPACE
from microdemucs.paths import MODELS
from microdemucs.settings import one_of, setting, text

AUTO, OPENVINO, TORCH = ENGINES = ("auto", "openvino", "torch")
PRECISIONS = ("auto", "f32", "bf16")


def _home(value: str) -> Path:
    return Path(value).expanduser()


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where the models are, and which engine runs them."""

    default: str = setting(
        "MODEL",
        "",
        text,
        "the default model, a name or a path: htdemucs if present, else htdemucs_tiny",
    )
    folder: Path = setting(
        "MODELS_DIR", "", lambda value: Path(value) if value else MODELS, "the folder of models"
    )
    cache: Path = setting(
        "MODELS_CACHE",
        "~/.cache/micro-demucs/models",
        _home,
        "models from the bucket and the hub, and models that are prepared for this processor",
    )
    namespace: str = setting(
        "HUB_NAMESPACE", NAMESPACE, text, "the account on the hub that has demucs' models"
    )
    engine: str = setting("ENGINE", AUTO, one_of(*ENGINES), "which engine runs the networks")
    precision: str = setting(
        "PRECISION", "auto", one_of(*PRECISIONS), "the arithmetic of OpenVINO on a CPU"
    )
