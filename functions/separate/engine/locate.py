"""Find a model's weights.

A name is looked up in the folder MODELS_DIR, under `<name>/` in the bucket of models, in the hub's
cache on this machine, and last among what was downloaded before. Only the setting MODEL may be a
path: a name from a user cannot leave these places.
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
from microdemucs.models import BUNDLED as BUNDLED
from microdemucs.models import FULL as FULL
from microdemucs.models import LIMITED_QUALITY as LIMITED_QUALITY
from microdemucs.models.ensemble import WEIGHT_SUFFIXES, description_file
from microdemucs.paths import MODELS

if TYPE_CHECKING:
    from microdemucs.bucket import Bucket

OpenBucket = Callable[[], "Bucket"]
"""Returns the bucket of models. It imports the store's client when it is called, not before."""

_is_signature = re.compile(r"[0-9a-f]{8}").fullmatch


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model that was found and is not loaded yet.

    `weights` is a file of weights or a folder of them; None if they must be downloaded.
    """

    name: str
    weights: Path | None

    @property
    def folder(self) -> Path:
        """The model's own folder, in which it may be prepared for a kind of processor."""
        if self.weights is None or self.weights.is_dir():
            return self.weights or MODELS / self.name
        own = self.weights.parent
        return own if own.name == self.name else own / self.name

    @property
    def note(self) -> str:
        """A warning about the model's quality for users, or ""."""
        return LIMITED_QUALITY if self.name == BUNDLED else ""

    def digest(self, cache: Path | None = None) -> str:
        """Return the SHA-256 of the weights, whatever their files' names; "" for no files.

        The folder `cache` keeps it. Raises OSError.
        """
        return digest(files_of(self.weights, self.name) if self.weights else [], cache)


@dataclass(frozen=True, slots=True)
class ModelLocator:
    """The folder of models, the bucket of models, and the cache of what was downloaded from it."""

    open_bucket: OpenBucket | None
    folder: Path
    cache: Path
    namespace: str = hub.NAMESPACE

    def find(self, name: str) -> LocatedModel | None:
        """Return the model if it is on disk or in the bucket. Raises RetryLater."""
        for folder in (self.folder, MODELS):
            found = find_in_folder(folder, name)
            if found:
                return found
        downloaded = self._download(name)
        if downloaded and _has_weights(downloaded):
            return LocatedModel(name, downloaded)
        cached = hub.cached(name, self.namespace)
        if cached:
            return LocatedModel(name, cached)
        return find_in_folder(self.fetched, name)

    @property
    def fetched(self) -> Path:
        """The folder of models that were downloaded for `make run` or for a job."""
        return self.cache / "fetched" / self.namespace

    def names(self) -> set[str]:
        """Return the names of all models outside the bucket, without demucs' signatures."""
        files = {
            file.stem
            for folder in (self.folder, MODELS)
            for pattern in ("*.safetensors", "*.yaml", "*/*.yaml")
            for file in folder.glob(pattern)
        }
        folders = {
            subfolder.name
            for folder in (self.folder, MODELS)
            for subfolder in folder.glob("*/")
            if _has_weights(subfolder)
        }
        on_demand = hub.names() if hub.fetches_on_demand() else set()
        return files | folders | {name for name in on_demand if not _is_signature(name)}

    def find_all(self) -> list[LocatedModel]:
        """Return all models outside the bucket, by name."""
        names = self.names() | {name for name in hub.names() if not _is_signature(name)}
        return [model for name in sorted(names) if (model := self.find(name))]

    def _download(self, name: str) -> Path | None:
        """Return a local copy of `<name>/` in the bucket; downloaded again only if it changed."""
        if not self.open_bucket:
            return None
        bucket = self.open_bucket()
        # imported here: a process that has its model on disk loads it without the store's client
        from microdemucs.store import ObjectChanged

        try:
            objects = bucket.list(f"{name}/", recursive=False)
        except ObjectChanged:  # no such bucket
            return None
        etags = {str(o.object_name): str(o.etag) for o in objects if not o.is_dir and o.size}
        if not etags:
            return None
        state = hashlib.sha256(repr(sorted(etags.items())).encode()).hexdigest()[:16]
        folder = self.cache / f"{name}-{state}"
        if not folder.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=self.cache))
            try:
                for key in etags:
                    bucket.download_file(key, str(temporary / Path(key).name))
                if not folder.exists():
                    temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return folder


def find_at_path(path: Path) -> LocatedModel:
    """Return the model in a file of weights, or in a model's own folder."""
    return LocatedModel(path.name if path.is_dir() else path.stem, path)


def find_in_folder(folder: Path, name: str) -> LocatedModel | None:
    """Return the model `name` in a folder of models, or None."""
    own = folder / name
    if own.is_dir() and _has_weights(own):
        return LocatedModel(name, own)
    if (folder / f"{name}.yaml").exists():
        return LocatedModel(name, folder)
    for pattern in (f"{name}.safetensors", f"{name}.th", f"{name}-*.th"):
        for file in folder.glob(pattern):
            return LocatedModel(name, file)
    return None


def find_bag(folder: Path, name: str) -> Path | None:
    """Return the .yaml file in `folder` that lists an ensemble's networks, or None."""
    description = description_file((file.name for file in folder.iterdir()), name)
    return folder / description if description else None


def files_of(weights: Path, name: str) -> list[Path]:
    """Return the files of the model `name`: a single file, an ensemble's, or all in the folder.

    The ensemble's .yaml file is not parsed, since yaml may not be installed: a file of weights
    belongs to it if its name occurs as a word.
    """
    if not weights.is_dir():
        return [weights]
    files = sorted(file for file in weights.iterdir() if file.suffix in WEIGHT_SUFFIXES)
    bag = find_bag(weights, name)
    if not bag:
        return files
    words = set(re.findall(r"[\w.-]+", bag.read_text()))
    return [bag, *(file for file in files if {file.stem, file.stem.split("-")[0]} & words)]


def _has_weights(folder: Path) -> bool:
    return any(file.suffix in WEIGHT_SUFFIXES for file in folder.iterdir())
