"""Build a model's networks from its weights, compile them, and choose their precision.

    python -m functions.separate.engine.openvino_backend.prepare FOLDER

This prepares the model in FOLDER for this kind of processor into FOLDER/compiled, for images and
volumes. Another kind prepares it again, into MODELS_CACHE.
"""

import argparse
import fcntl
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import soundfile

from functions.separate.engine import CannotBuild, Floats, UnusableWeights
from functions.separate.engine.bag import Bag, read_bag
from functions.separate.engine.htdemucs.network import (
    ALL_BF16,
    ALL_F32,
    CAREFUL_BF16,
    Precisions,
    build_stages,
)
from functions.separate.engine.htdemucs.weights import NetworkFile, read_network_file
from functions.separate.engine.locate import find_at_path
from functions.separate.engine.openvino_backend import prepared_model
from functions.separate.engine.openvino_backend.compile import compile_stages, write_compiled
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine
from functions.separate.engine.openvino_backend.prepared_model import PreparedModel, PreparedNetwork
from functions.separate.engine.openvino_backend.processor import BF16, F32, has_bf16
from microdemucs.models.architecture import Architecture, read_architecture

log = logging.getLogger(__name__)

CLIP = Path(__file__).with_name("clip.mp3")
"""8 s of a real song, in which all instruments play."""
_TIMED_WINDOWS, _TIMED_S = 5, 3.0  # fewer windows if they take so long
_CLEARLY_FASTER = 1.1  # so that machines of one kind do not choose differently by chance
_OBVIOUSLY_FASTER = 1.5  # so that first windows, which also wait for new memory, tell enough
MAX_DIFFERENCE_DB = -40.0
"""Energy of the difference of bf16 from f32, relative to the signal: more than this is not used."""


def prepare(bag: Bag, name: str, folder: Path, precision: str) -> None:
    """Prepare the model `name` in `folder`, once even if several processes try.

    Every user may read it. `precision` is f32, bf16, or auto for the faster one. Raises
    UnusableWeights, CannotBuild, OSError, RuntimeError.
    """
    with _locked(folder):
        if prepared_model.is_prepared(folder):
            return
        start = monotonic()
        log.info("model is being prepared", extra={"model": name, "folder": str(folder)})
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".preparing-") as temporary:
            _prepare(bag, Path(temporary), precision)
            _let_others_read(Path(temporary))
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(temporary, folder)
        fields = {"model": name, "seconds": round(monotonic() - start, 1)}
        log.info("model prepared", extra=fields)


def _prepare(bag: Bag, folder: Path, precision: str) -> None:
    networks, sources = [], [""]
    segment = bag.description.segment
    for index, file in enumerate(bag.files):
        if file.suffix != ".safetensors":
            raise CannotBuild(f"{file.name} is a pickle, which only torch reads")
        network = read_network_file(file)
        architecture = read_architecture(network)
        if segment and segment <= architecture.segment:
            architecture = replace(architecture, segment=segment)
        if index and list(architecture.sources) != sources:
            raise UnusableWeights("its networks have different sources")
        sources = list(architecture.sources)
        chosen = _choose(architecture, network, precision)
        stages = [f"network-{index}-{stage}.blob" for stage in ("encoding", "decoding")]
        for compiled, stage in zip(chosen.stages, stages, strict=True):
            write_compiled(compiled, folder / stage)
        networks.append(
            PreparedNetwork(
                stages,
                str(architecture.segment),
                architecture.nfft,
                chosen.precision,
                chosen.reason,
            )
        )
    mixing = bag.description.weights or [[1.0] * len(sources) for _ in networks]
    if len(mixing) != len(networks) or any(len(row) != len(sources) for row in mixing):
        raise UnusableWeights("its .yaml file has not one weight per network and source")
    PreparedModel(sources, networks, mixing).write(folder)


class _Candidate(NamedTuple):
    """A compiled network. It took `first_s` seconds for `estimate`, its first window."""

    stages: Sequence[Any]
    precision: str
    engine: OpenVinoEngine
    estimate: Floats
    first_s: float


class _Chosen(NamedTuple):
    stages: Sequence[Any]
    precision: str
    reason: str


def _choose(architecture: Architecture, network: NetworkFile, precision: str) -> _Chosen:
    if precision == F32 or (precision != BF16 and not has_bf16()):
        stages = compile_stages(build_stages(architecture, network.tensors, ALL_F32))
        reason = "the setting PRECISION" if precision == F32 else "this processor has no bf16"
        return _Chosen(stages, F32, reason)
    clip = _clip(architecture.samples)
    exact = _run(architecture, network, ALL_F32, F32, clip)
    difference = 0.0
    for precisions in (ALL_BF16, CAREFUL_BF16):
        rounded = _run(architecture, network, precisions, BF16, clip)
        difference = _decibels(rounded.estimate, exact.estimate)
        if difference <= MAX_DIFFERENCE_DB or precision == BF16:
            break
    if precision == BF16:
        return _Chosen(rounded.stages, BF16, "the setting PRECISION")
    if not difference <= MAX_DIFFERENCE_DB:  # also if it is no number
        return _Chosen(exact.stages, F32, f"bf16 differs by {difference:.1f} dB")
    ratio = _time_ratio(rounded, exact, clip)
    if ratio > _CLEARLY_FASTER:
        return _Chosen(exact.stages, F32, f"{ratio:.2f} times as fast as bf16 here")
    return _Chosen(rounded.stages, BF16, f"{1 / ratio:.2f} times as fast as f32 here")


def _run(
    architecture: Architecture,
    network: NetworkFile,
    precisions: Precisions,
    name: str,
    clip: Floats,
) -> _Candidate:
    stages = compile_stages(build_stages(architecture, network.tensors, precisions))
    engine = OpenVinoEngine(stages, architecture.segment, architecture.nfft, name)
    start = monotonic()
    estimate = engine.separate(clip).copy()
    return _Candidate(stages, name, engine, estimate, monotonic() - start)


def _time_ratio(rounded: _Candidate, exact: _Candidate, clip: Floats) -> float:
    """Return how many times as long as f32 bf16 takes."""
    first = rounded.first_s / exact.first_s
    if not 1 / _OBVIOUSLY_FASTER < first < _OBVIOUSLY_FASTER:
        return first
    return _fastest(rounded.engine, clip) / _fastest(exact.engine, clip)


def _fastest(engine: OpenVinoEngine, clip: Floats) -> float:
    """Return the shortest time in s of a window."""
    times: list[float] = []
    while not times or (len(times) < _TIMED_WINDOWS and sum(times) < _TIMED_S):
        start = monotonic()
        engine.separate(clip)
        times.append(monotonic() - start)
    return min(times)


def _clip(samples: int) -> Floats:
    """Return [2, samples] of a real song, repeated if it is shorter, normalized as demucs does."""
    audio, _ = soundfile.read(CLIP, dtype="float32", always_2d=True)
    repeated = np.tile(audio.T, -(-samples // len(audio)))[:, :samples]
    mono = repeated.mean(0)
    clip: Floats = np.ascontiguousarray((repeated - mono.mean()) / mono.std(ddof=1))
    return clip


def _decibels(estimate: Floats, expected: Floats) -> float:
    """Return the energy of the difference, relative to the expected signal's."""
    difference = float(np.sum((estimate - expected).astype(np.float64) ** 2))
    return 10 * float(
        np.log10(difference / float(np.sum(expected.astype(np.float64) ** 2)) + 1e-30)
    )


def _let_others_read(folder: Path) -> None:
    """Let every user read the folder and its files: other pods may have another one."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time prepare this folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Prepare the model and print the files, or exit with one line that says why not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder of a model, with its weights")
    folder = parser.parse_args().folder.resolve()
    model = find_at_path(folder)
    if not model.digest():
        sys.exit(f"{folder} has no weights; `make models MODEL={folder.name}` gets them")
    target = prepared_model.folder_in(folder, model.digest(), "auto")
    try:
        prepare(read_bag(folder, model.name), model.name, target, "auto")
    except (UnusableWeights, CannotBuild, OSError, RuntimeError) as error:
        sys.exit(f"{folder} cannot be prepared: {error}")
    for file in sorted(target.iterdir()):
        print(file)


if __name__ == "__main__":
    main()
