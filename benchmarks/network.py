"""Write the network that is timed: htdemucs' architecture and size with seeded random weights.

    python -m benchmarks.network FOLDER

Random weights take the same time as trained ones and need no download. demucs reads the file with
`--repo FOLDER -n htdemucs_random`, and this project reads the folder as a model. demucs-onnx reads
an ONNX file that its own export makes here. FOLDER gets:

    htdemucs_random.yaml, random.th   a bag of one, like htdemucs
    about.json                        FLOPs of one segment; why the ONNX export failed, or ""
    hub/                              the ONNX file, in the layout of the Hugging Face hub's cache
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from demucs.htdemucs import HTDemucs
from demucs.pretrained import get_model
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.programs import NAME
from testing.random_network import ARGUMENTS, random_network


def main(folder: Path) -> None:
    """Write the files that `folder` does not have yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{NAME}.yaml").exists():
        torch.save(_package(random_network()), folder / "random.th")
        (folder / f"{NAME}.yaml").write_text("models: ['random']\n")
    if not (folder / "about.json").exists():
        network = get_model(NAME, folder).models[0]
        about = {"flops": _flops(network), "demucs-onnx": _export(network, folder / "hub")}
        (folder / "about.json").write_text(json.dumps(about))


def _package(network: HTDemucs) -> dict[str, object]:
    """Return what demucs.states.load_model reads; in half precision, like the released weights."""
    state = {name: value.half() for name, value in network.state_dict().items()}
    return {"klass": HTDemucs, "args": (), "kwargs": ARGUMENTS, "state": state}


def _flops(network: HTDemucs) -> int:
    """Return the FLOPs of one segment by torch's count, without the STFT and the norms."""
    mix = torch.zeros(1, 2, int(network.segment * network.samplerate))
    # the counter knows matrix products, but not fused attention
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(mix)
    torch.backends.mha.set_fastpath_enabled(True)
    return int(counter.get_total_flops())


def _export(network: HTDemucs, hub: Path) -> str:
    """Export with demucs-onnx, including its check; return "" or why it failed."""
    try:
        from demucs_onnx._hub import MODEL_REGISTRY
        from demucs_onnx.export import export_to_onnx

        entry = MODEL_REGISTRY["htdemucs"]
        cached = hub / ("models--" + entry.repo.replace("/", "--"))
        with tempfile.TemporaryDirectory() as scratch:
            pickled = Path(scratch) / "network.pt"  # its loader reads a whole module
            torch.save(network, pickled)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the tracer warns about each Python number
                target = cached / "snapshots/local" / entry.filename_fp32
                export_to_onnx(pickled, target, verbose=False)
        (cached / "refs").mkdir()
        (cached / "refs/main").write_text("local")
    except Exception as error:  # noqa: BLE001 (the table shows any reason)
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
