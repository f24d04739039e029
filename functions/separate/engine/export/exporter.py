"""From demucs' own network to one that OpenVINO runs: made once, and checked before it is trusted.

torch traces the network as functions.separate.engine.export.network says it, OpenVINO converts the trace,
and the result is heard beside torch's own on a real song. Needs torch and demucs.
"""

import shutil
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import soundfile
import torch
from demucs.apply import BagOfModels
from demucs.htdemucs import HTDemucs
from openvino import opset8
from openvino.preprocess import PrePostProcessor

from functions.separate.engine import SAMPLE_RATE, Engine, Floats, Model, overlap_add
from functions.separate.engine.export.branches import NotExportable
from functions.separate.engine.export.network import Network
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.engine import (
    BF16,
    F32,
    OpenVinoEngine,
    has_bf16,
    precisions,
)
from functions.separate.engine.openvino_backend.exported_model import FAITHFUL, ExportedModel
from functions.separate.engine.torch_engine import TorchEngine
from microdemucs.paths import ROOT

__all__ = ["NotExportable", "export"]

CLIP = ROOT / "samples" / "black_mountain.mp3"
_CLIP_BEGINS = 10  # s: everyone plays there
_CLIP_SEGMENTS = 2.5


def export(model: Any, weights: str, into: Path) -> ExportedModel:
    """Write the exported form of `model` (a network or a bag of them) into the folder `into`.

    `weights` is the digest of the weights it has. Other files in the folder stay. Raises
    NotExportable, also where the result differs more from torch than exported_model.FAITHFUL allows.
    """
    bag = model if isinstance(model, BagOfModels) else BagOfModels([model])
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".exporting") as name:
        folder = Path(name)
        networks = tuple(
            _network(one, folder / f"network-{index}.xml") for index, one in enumerate(bag.models)
        )
        mixing = [[float(weight) for weight in row] for row in bag.weights]
        form = ExportedModel(folder, weights, tuple(bag.sources), networks, mixing)
        form.write(openvino.__version__)
        into.mkdir(exist_ok=True)
        (into / exported_model.NAME).unlink(missing_ok=True)
        for file in sorted(folder.iterdir(), key=lambda file: file.name == exported_model.NAME):
            shutil.copyfile(file, into / file.name)
    found = exported_model.find(into)
    assert found
    return found


def _network(original: Any, file: Path) -> exported_model.ExportedNetwork:
    if not isinstance(original, HTDemucs):
        raise NotExportable(f"{type(original).__name__} is not HTDemucs")
    original = original.cpu().eval().requires_grad_(False)
    try:
        network = Network(original)
    except (AttributeError, KeyError, RuntimeError, IndexError) as error:
        raise NotExportable(f"it is built otherwise than htdemucs: {error}") from error
    parts = [file.with_stem(f"{file.stem}-{name}") for name in ("encoding", "decoding")]
    traced = _written(network, parts)
    clip = _clip(int(_CLIP_SEGMENTS * original.segment * SAMPLE_RATE))
    right = _heard(TorchEngine(original), original.sources, clip)
    for part in parts:
        _keep_precise(part, set())
    form = _checked(original, parts, clip, right)
    if form.checked.get(BF16, 0.0) > FAITHFUL[BF16] and has_bf16():
        for part, trace in zip(parts, traced, strict=True):
            _keep_precise(part, {node.name for node in trace.graph.nodes if _is_delicate(node)})
        form = _checked(original, parts, clip, right)
    return form


def _written(network: Network, parts: list[Path]) -> list[Any]:
    """Convert the network's parts into these files; their traces."""
    with torch.no_grad():
        between = network.encoding(*network.like)
        first = torch.export.export(network.encoding, network.like, strict=False)
        second = torch.export.export(network.decoding, between, strict=False)
    for trace, inputs, file in zip((first, second), (network.like, between), parts, strict=True):
        converted = openvino.convert_model(trace)
        shapes = {port: list(one.shape) for port, one in zip(converted.inputs, inputs, strict=True)}
        converted.reshape(shapes)  # the conversion itself forgets some of them
        _halve(converted)
        ports = PrePostProcessor(converted)
        # What goes from part to part is bf16, as it would be within one network. The other way
        # round, from f32 to bf16 when it is loaded, would take a sixth of a start's time.
        given = [ports.output(index) for index in range(len(converted.outputs))]
        taken = [ports.input(index) for index in range(len(converted.inputs))]
        for port in given if trace is first else taken:
            port.tensor().set_element_type(openvino.Type.bf16)
        openvino.save_model(ports.build(), file, compress_to_fp16=False)
    return [first, second]


def _halve(model: Any) -> None:
    """Store constants as fp16 where that loses nothing: demucs' weights are kept so."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != openvino.Type.f32:
            continue
        values = node.data
        if values.size > 1024 and np.array_equal(half := values.astype(np.float16), values):
            small = opset8.convert(opset8.constant(half), openvino.Type.f32)
            node.output(0).replace(small.output(0))


def _keep_precise(file: Path, names: set[str]) -> None:
    """Have what was traced under these names computed in f32 whatever the precision.

    And all means, of which OpenVINO's f32 ones are twice as fast.
    """
    tree = ET.parse(file)  # noqa: S314 (OpenVINO has just written it)
    for layer in tree.iter("layer"):
        made_from, kind = layer.get("name", "").split("/")[0], layer.get("type")
        if kind == "ReduceMean" or (made_from in names and kind not in ("Const", "Convert")):
            notes = layer.find("rt_info")
            if notes is None:
                notes = ET.Element("rt_info")
                layer.insert(1, notes)
            if not any(note.get("name") == "precise" for note in notes):
                ET.SubElement(notes, "attribute", name="precise", version="0")
    tree.write(file)


def _is_delicate(node: Any) -> bool:
    """Whether bf16 loses most there, for a tenth of the time.

    The wave's encoders and the first of the spectrogram's, since all the rest hears their errors,
    and the sums that run through the transformer's layers.
    """
    within = [path.split(".") for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    innermost = within[-1] if within else [""]
    if innermost[0] in ("encoders", "wave_encoders"):
        return innermost[0] == "wave_encoders" or innermost[1] == "0"
    is_layer = innermost[0] == "transformer" and len(innermost) == 3
    return is_layer and node.name.startswith(("add", "mul"))


def _checked(
    original: HTDemucs, parts: list[Path], clip: Floats, right: Floats
) -> exported_model.ExportedNetwork:
    segment, nfft = original.segment, original.nfft
    differs = {}
    for precision in precisions():
        engine = OpenVinoEngine(parts, segment, nfft, precision)
        found = _heard(engine, original.sources, clip)
        differs[precision] = round(_decibels(found, right), 1)
    if differs[F32] > FAITHFUL[F32]:
        raise NotExportable(f"the exported network differs by {differs[F32]} dB from torch's")
    return exported_model.ExportedNetwork(
        tuple(part.name for part in parts), segment, nfft, differs
    )


def _heard(engine: Engine, sources: list[str], clip: Floats) -> Floats:
    """[sources, 2, samples] of the clip, separated as a song is."""

    def read(start: int, stop: int) -> Floats:
        outside = (max(0, -start), max(0, stop - clip.shape[1]))
        return np.pad(clip[:, max(0, start) : stop], ((0, 0), outside))

    model = Model("checked", tuple(sources), (engine,), [[1.0] * len(sources)])
    plan = overlap_add.Plan.of(model, clip.shape[1])
    blocks = overlap_add.separate(plan, read, lambda share: None)
    return np.concatenate([block for _, block in blocks], -1)


def _clip(samples: int) -> Floats:
    """[2, samples] of a real song, normalised as demucs does."""
    start = _CLIP_BEGINS * SAMPLE_RATE
    read, rate = soundfile.read(CLIP, samples, start, dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE
    assert len(read) == samples
    mono = read.mean(1)
    clip: Floats = np.ascontiguousarray((read.T - mono.mean()) / mono.std(ddof=1))
    return clip


def _decibels(found: Floats, right: Floats) -> float:
    """The energy of the difference, relative to the signal's."""
    apart = float(np.sum((found - right).astype(np.float64) ** 2))
    return 10 * float(np.log10(apart / float(np.sum(right.astype(np.float64) ** 2)) + 1e-30))
