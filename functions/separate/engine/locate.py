"""Where a model's weights and its exported form lie.

A name is looked for in the folder MODELS_DIR, under `<name>/` in the bucket of models, in the
hub's cache on this machine, and last where demucs itself downloads from. Only a deployment's own
setting MODEL may be a path: what users name never leaves these places.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from functions.separate.engine import hub
from functions.separate.engine.digests import digest
from functions.separate.engine.openvino_backend import exported_model
from microdemucs.paths import MODELS

if TYPE_CHECKING:
    from microdemucs.bucket import Bucket

OpenBucket = Callable[[], "Bucket"]
"""Returns the bucket of models. What it needs is imported when it is called."""

FULL, BUNDLED = "htdemucs", "htdemucs_tiny"
LIMITED = (
    "limited quality: this is the small model that comes with the program; "
    "`make models MODEL=htdemucs` gets the full one"
)
_WEIGHTS = (".safetensors", ".th")
_SIGNATURE = re.compile(r"[0-9a-f]{8}").fullmatch


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that is not loaded yet.

    `path` is a file of weights or a folder of them, None where there are none; `home` is the
    folder where the exported form may lie, None where there can be none. With neither, demucs
    is to download it.
    """

    name: str
    path: Path | None
    home: Path | None = None

    @property
    def note(self) -> str:
        """What a listener must know of its quality, or ""."""
        return LIMITED if self.name == BUNDLED else ""

    def digest(self, cache: Path | None = None) -> str:
        """SHA-256 over the files it is made of, whatever they are called; "" for no files.

        The folder `cache` remembers them. Raises OSError.
        """
        return digest(files_of(self.path, self.name) if self.path else [], cache)


@dataclass(frozen=True, slots=True)
class ModelLocator:
    """The folder, the bucket and the cache that a process looks in."""

    open_bucket: OpenBucket | None
    folder: Path
    cache: Path

    def at_hand(self, name: str) -> Weights | None:
        """`name` from wherever no network but our own is needed. Raises RetryLater."""
        for folder in (self.folder, MODELS):
            found = inside(folder, name)
            if found:
                return found
        here = self._from_bucket(name)
        if here:
            return Weights(name, here if _holds_weights(here) else None, here)
        here = hub.cached(name)
        return Weights(name, here) if here else None

    def names(self) -> set[str]:
        """What a person may be told of: no signatures."""
        paths = [
            path
            for folder in (self.folder, MODELS)
            for pattern in ("*.safetensors", "*.yaml", "*/*.yaml")
            for path in folder.glob(pattern)
        ]
        folders = {
            path.name
            for folder in (self.folder, MODELS)
            for path in folder.glob("*/")
            if _holds_weights(path) or (path / exported_model.NAME).exists()
        }
        known = {name for name in hub.names() if not _SIGNATURE(name)}
        return {path.stem for path in paths} | folders | known

    def _from_bucket(self, name: str) -> Path | None:
        """The folder where the bucket's `<name>/` is, downloaded once for each of its states."""
        if not self.open_bucket:
            return None
        bucket = self.open_bucket()
        # here: a process that has its model on disk loads it before it imports this
        from microdemucs.store import ObjectChanged

        try:
            objects = bucket.list(f"{name}/", recursive=False)
        except ObjectChanged:  # there is no such bucket
            return None
        files = {str(o.object_name): str(o.etag) for o in objects if not o.is_dir and o.size}
        if not files:
            return None
        state = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
        folder = self.cache / f"{name}-{state}"
        if not folder.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            coming = Path(tempfile.mkdtemp(dir=self.cache))
            try:
                for key in files:
                    bucket.download_file(key, str(coming / Path(key).name))
                if not folder.exists():
                    coming.rename(folder)
            finally:
                shutil.rmtree(coming, ignore_errors=True)
        return folder


def at(path: Path) -> Weights:
    """The model in a file or folder that the deployment names."""
    if path.is_dir():
        return Weights(path.name, path if _holds_weights(path) else None, path)
    return Weights(path.stem, path, path.with_suffix(""))


def bag_in(folder: Path, name: str) -> Path | None:
    """The list of the bag that a folder of weights makes, if it has one."""
    lists = [folder / f"{name}.yaml", *sorted(folder.glob("*.yaml"))]
    return next((one for one in lists if one.exists()), None)


def inside(folder: Path, name: str) -> Weights | None:
    """The model `name` in a folder of models."""
    own = folder / name
    if own.is_dir() and _holds_weights(own):
        return Weights(name, own, own)
    if (folder / f"{name}.yaml").exists():
        return Weights(name, folder, own)
    for pattern in (f"{name}.safetensors", f"{name}.th", f"{name}-*.th"):
        for path in folder.glob(pattern):
            return Weights(name, path, own)
    return Weights(name, None, own) if (own / exported_model.NAME).exists() else None


def _holds_weights(folder: Path) -> bool:
    return any(path.suffix in _WEIGHTS for path in folder.iterdir())


def files_of(path: Path, name: str) -> list[Path]:
    """What the model `name` is made of: a file; or a bag's list and its weights; or all weights.

    No YAML is read for it: a file belongs to a bag whose list has its name as a word.
    """
    if not path.is_dir():
        return [path]
    weights = sorted(one for one in path.iterdir() if one.suffix in _WEIGHTS)
    bag = bag_in(path, name)
    if not bag:
        return weights
    words = set(re.findall(r"[\w.-]+", bag.read_text()))
    return [bag, *(one for one in weights if {one.stem, one.stem.split("-")[0]} & words)]
