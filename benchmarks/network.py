"""The network that is timed: htdemucs' own architecture and size, with seeded random weights.

    python -m benchmarks.network FOLDER

Random weights take the same time as trained ones, and can be had without a download. One file of
them is read by demucs (`--repo FOLDER -n htdemucs_random`), by this project (a folder is a model)
and by demucs-onnx, through an ONNX file made here by demucs-onnx's own export. FOLDER gets:

    htdemucs_random.yaml, random.th   a bag of one, as htdemucs itself is
    about.json                        FLOPs of one segment, and how the ONNX export went
    hub/                              the ONNX file, in the layout of the Hugging Face hub's cache
"""

import json
import sys
import tempfile
import warnings
from fractions import Fraction
from pathlib import Path

import torch
from demucs.htdemucs import HTDemucs
from demucs.pretrained import get_model
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.subjects import NAME

# What the released htdemucs (955717e8) was made with, where it differs from the class's defaults.
_ARGUMENTS = {
    "sources": ["drums", "bass", "other", "vocals"],
    "channels": 48,
    "dconv_mode": 3,
    "bottom_channels": 512,
    "t_layers": 5,
    "t_dropout": 0.02,
    "samplerate": 44_100,
    "segment": Fraction(39, 5),
}


def main(folder: Path) -> None:
    """Make what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{NAME}.yaml").exists():
        torch.save(_package(random_network()), folder / "random.th")
        (folder / f"{NAME}.yaml").write_text("models: ['random']\n")
    if not (folder / "about.json").exists():
        network = get_model(NAME, folder).models[0]
        about = {"flops": _flops(network), "demucs-onnx": _export(network, folder / "hub")}
        (folder / "about.json").write_text(json.dumps(about))


def random_network() -> HTDemucs:
    """As demucs makes a network that is to be trained; nothing is tuned."""
    torch.manual_seed(1234)
    return HTDemucs(**_ARGUMENTS)


def _package(network: HTDemucs) -> dict[str, object]:
    """As demucs.states.load_model reads it; in half precision, as the released weights are."""
    state = {name: value.half() for name, value in network.state_dict().items()}
    return {"klass": HTDemucs, "args": (), "kwargs": _ARGUMENTS, "state": state}


def _flops(network: HTDemucs) -> int:
    """Of one segment, by torch's own count. The STFT and the norms are not in it."""
    mix = torch.zeros(1, 2, int(network.segment * network.samplerate))
    # the counter knows matrix products, not the fused attention that is made of them
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(mix)
    torch.backends.mha.set_fastpath_enabled(True)
    return int(counter.get_total_flops())


def _export(network: HTDemucs, hub: Path) -> str:
    """Export as demucs-onnx does it, its check included; "" or why it could not."""
    try:
        from demucs_onnx._hub import MODEL_REGISTRY
        from demucs_onnx.export import export_to_onnx

        there = MODEL_REGISTRY["htdemucs"]
        cached = hub / ("models--" + there.repo.replace("/", "--"))
        with tempfile.TemporaryDirectory() as scratch:
            pickled = Path(scratch) / "network.pt"  # a whole module: what its loader takes
            torch.save(network, pickled)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the tracer's, on each Python number
                into = cached / "snapshots/local" / there.filename_fp32
                export_to_onnx(pickled, into, verbose=False)
        (cached / "refs").mkdir()
        (cached / "refs/main").write_text("local")
    except Exception as error:  # noqa: BLE001 (whatever it is, the table says it)
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
