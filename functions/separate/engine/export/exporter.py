"""Export demucs' own network to OpenVINO, and measure the result before it is used.

torch traces the network as rewritten in network.py, OpenVINO converts the trace, and both separate
a clip of real music. Needs torch and demucs.
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
from functions.separate.engine.openvino_backend.exported_model import (
    MAX_DIFFERENCE_DB,
    ExportedModel,
    ExportedNetwork,
)
from functions.separate.engine.torch_engine import TorchEngine
from microdemucs.paths import ROOT

__all__ = ["NotExportable", "export"]

CLIP = ROOT / "samples" / "black_mountain.mp3"
_CLIP_START_S = 10  # all instruments play here
_CLIP_SEGMENTS = 2.5
_LARGE = 1024  # values of a constant


def export(network: Any, weights_digest: str, folder: Path) -> ExportedModel:
    """Write the exported model of `network` (demucs' network or BagOfModels) into `folder`.

    `weights_digest` identifies its weights. Other files in the folder stay. Raises NotExportable,
    also if the result differs from torch by more than exported_model.MAX_DIFFERENCE_DB.
    """
    bag = network if isinstance(network, BagOfModels) else BagOfModels([network])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".exporting") as name:
        temporary = Path(name)
        networks = tuple(
            _export_network(original, temporary / f"network-{index}.xml")
            for index, original in enumerate(bag.models)
        )
        mixing = [[float(weight) for weight in row] for row in bag.weights]
        exported = ExportedModel(temporary, weights_digest, tuple(bag.sources), networks, mixing)
        exported.write(openvino.__version__)
        folder.mkdir(exist_ok=True)
        (folder / exported_model.NAME).unlink(missing_ok=True)
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == exported_model.NAME):
            shutil.copyfile(file, folder / file.name)
    found = exported_model.find(folder)
    assert found
    return found


def _export_network(original: Any, file: Path) -> ExportedNetwork:
    if not isinstance(original, HTDemucs):
        raise NotExportable(f"{type(original).__name__} is not HTDemucs")
    original = original.cpu().eval().requires_grad_(False)
    try:
        network = Network(original)
    except (AttributeError, KeyError, RuntimeError, IndexError) as error:
        raise NotExportable(f"it is built otherwise than htdemucs: {error}") from error
    files = [file.with_stem(f"{file.stem}-{stage}") for stage in ("encoding", "decoding")]
    traces = _write_stages(network, files)
    clip = _clip(int(_CLIP_SEGMENTS * original.segment * SAMPLE_RATE))
    expected = _separate(TorchEngine(original), original.sources, clip)
    for stage in files:
        _keep_f32(stage, set())
    exported = _measure(original, files, clip, expected)
    if exported.differences.get(BF16, 0.0) > MAX_DIFFERENCE_DB[BF16] and has_bf16():
        for stage, trace in zip(files, traces, strict=True):
            _keep_f32(stage, {node.name for node in trace.graph.nodes if _is_delicate(node)})
        exported = _measure(original, files, clip, expected)
    return exported


def _write_stages(network: Network, files: list[Path]) -> list[Any]:
    """Convert the network's stages into these files; return their traces."""
    with torch.no_grad():
        between = network.encoding(*network.example_inputs)
        encoding = torch.export.export(network.encoding, network.example_inputs, strict=False)
        decoding = torch.export.export(network.decoding, between, strict=False)
    stages = [(encoding, network.example_inputs), (decoding, between)]
    for (trace, examples), file in zip(stages, files, strict=True):
        converted = openvino.convert_model(trace)
        shapes = [list(example.shape) for example in examples]
        converted.reshape(dict(zip(converted.inputs, shapes, strict=True)))  # it loses some
        _store_as_fp16(converted)
        ports = PrePostProcessor(converted)
        # Tensors between the stages are bf16, as they would be within one network. f32 in the file
        # and bf16 when it is loaded would take a sixth of a start's time.
        outputs = [ports.output(index) for index in range(len(converted.outputs))]
        inputs = [ports.input(index) for index in range(len(converted.inputs))]
        for port in outputs if trace is encoding else inputs:
            port.tensor().set_element_type(openvino.Type.bf16)
        openvino.save_model(ports.build(), file, compress_to_fp16=False)
    return [encoding, decoding]


def _store_as_fp16(model: Any) -> None:
    """Store large constants as fp16 if that loses nothing: demucs publishes its weights so."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != openvino.Type.f32:
            continue
        values = node.data
        if values.size > _LARGE and np.array_equal(half := values.astype(np.float16), values):
            small = opset8.convert(opset8.constant(half), openvino.Type.f32)
            node.output(0).replace(small.output(0))


def _keep_f32(file: Path, names: set[str]) -> None:
    """Mark the layers traced under these names, and all means, to be computed in f32.

    OpenVINO's means are twice as fast in f32.
    """
    tree = ET.parse(file)  # noqa: S314 (OpenVINO has just written it)
    for layer in tree.iter("layer"):
        name, kind = layer.get("name", "").split("/")[0], layer.get("type")
        if kind == "ReduceMean" or (name in names and kind not in ("Const", "Convert")):
            attributes = layer.find("rt_info")
            if attributes is None:
                attributes = ET.Element("rt_info")
                layer.insert(1, attributes)
            if not any(attribute.get("name") == "precise" for attribute in attributes):
                ET.SubElement(attributes, "attribute", name="precise", version="0")
    tree.write(file)


def _is_delicate(node: Any) -> bool:
    """Return whether bf16 loses most at this node; together they take a tenth of the time.

    These are all encoders of the wave and the first of the spectrogram, whose errors reach
    everything else, and the sums that run through the transformer's layers.
    """
    modules = [path.split(".") for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    innermost = modules[-1] if modules else [""]
    if innermost[0] in ("encoders", "wave_encoders"):
        return innermost[0] == "wave_encoders" or innermost[1] == "0"
    is_layer = innermost[0] == "transformer" and len(innermost) == 3
    return is_layer and node.name.startswith(("add", "mul"))


def _measure(
    original: HTDemucs, files: list[Path], clip: Floats, expected: Floats
) -> ExportedNetwork:
    """Separate the clip in each precision. Raises NotExportable if f32 differs too much."""
    segment, nfft = original.segment, original.nfft
    differences = {}
    for precision in precisions():
        engine = OpenVinoEngine(files, segment, nfft, precision)
        estimate = _separate(engine, original.sources, clip)
        differences[precision] = round(_decibels(estimate, expected), 1)
    if differences[F32] > MAX_DIFFERENCE_DB[F32]:
        raise NotExportable(f"the exported network differs by {differences[F32]} dB from torch's")
    return ExportedNetwork(tuple(stage.name for stage in files), segment, nfft, differences)


def _separate(engine: Engine, sources: list[str], clip: Floats) -> Floats:
    """Separate the clip [2, n] into [sources, 2, n], as a song."""

    def read(start: int, stop: int) -> Floats:
        outside = (max(0, -start), max(0, stop - clip.shape[1]))
        return np.pad(clip[:, max(0, start) : stop], ((0, 0), outside))

    model = Model("measured", tuple(sources), (engine,), [[1.0] * len(sources)])
    plan = overlap_add.Plan.of(model, clip.shape[1])
    blocks = overlap_add.separate_windows(plan, read, lambda _: None)
    return np.concatenate([block.samples for block in blocks], -1)


def _clip(samples: int) -> Floats:
    """Return [2, samples] of a real song, normalized as demucs does."""
    start = _CLIP_START_S * SAMPLE_RATE
    audio, rate = soundfile.read(CLIP, samples, start, dtype="float32", always_2d=True)
    assert rate == SAMPLE_RATE
    assert len(audio) == samples
    mono = audio.mean(1)
    clip: Floats = np.ascontiguousarray((audio.T - mono.mean()) / mono.std(ddof=1))
    return clip


def _decibels(estimate: Floats, expected: Floats) -> float:
    """Return the energy of the difference, relative to the expected signal's."""
    difference = float(np.sum((estimate - expected).astype(np.float64) ** 2))
    return 10 * float(
        np.log10(difference / float(np.sum(expected.astype(np.float64) ** 2)) + 1e-30)
    )
