"""Which model a job gets, where its weights come from, and the few that stay loaded.

A name is looked for in the folder MODELS_DIR, under `<name>/` in the bucket of models, in the
hub's cache on this machine, and last where demucs itself downloads from. Only a deployment's own
setting MODEL may be a path: what users name never leaves these places.
"""

import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import urllib3
from minio import Minio

from functions.separate.engine import Model, UnusableWeights
from microdemucs import settings
from microdemucs.options import BadOption
from microdemucs.store import Changed, told

log = logging.getLogger(__name__)

FULL, BUNDLED = "htdemucs", "htdemucs_tiny"
LIMITED = (
    "limited quality: this is the small model that comes with the program; "
    "`make models MODEL=htdemucs` gets the full one"
)
_ROOT = Path(__file__).parent.parent.parent.parent
_KEPT = 2  # loaded models; htdemucs takes some 200 MB
_SIGNATURE = re.compile(r"[0-9a-f]{8}").fullmatch
_HUBS = ("https://huggingface.co", "https://dl.fbaipublicfiles.com")


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that is not loaded yet. `path` is None where demucs is to download it."""

    name: str
    path: Path | None

    @property
    def note(self) -> str:
        """What a listener must know of its quality, or ""."""
        return LIMITED if self.name == BUNDLED else ""


@dataclass(slots=True)
class Models:
    """The models that this process can use. Thread-safe."""

    store: Minio
    bucket: str
    folder: Path = field(
        default_factory=lambda: Path(settings.text("MODELS_DIR", str(_ROOT / "models")))
    )
    cache: Path = field(
        default_factory=lambda: Path(
            settings.text("MODELS_CACHE", str(Path.home() / ".cache/micro-demucs/models"))
        )
    )
    default: str = field(default_factory=lambda: settings.text("MODEL"))
    _loaded: OrderedDict[Weights, Model] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, name: str) -> Weights:
        """The weights for the option `model`; "" is the deployment's default.

        Raises BadOption, Later.
        """
        if name:
            return self._named(name)
        if "/" in self.default:
            path = Path(self.default)
            return Weights(path.stem if path.is_file() else path.name, path)
        if self.default:
            return self._named(self.default)
        return self._at_hand(FULL) or self._named(BUNDLED)

    def load(self, weights: Weights) -> Model:
        """The model, loaded now or before. Raises BadOption, MemoryError."""
        with self._lock:
            if weights not in self._loaded:
                while len(self._loaded) >= _KEPT:
                    self._loaded.popitem(last=False)
                self._loaded[weights] = self._load(weights)
            self._loaded.move_to_end(weights)
            return self._loaded[weights]

    def _load(self, weights: Weights) -> Model:
        # here, since torch takes seconds to import and must not start before a server forks
        from functions.separate.engine import torch_engine

        if weights.path is None and not hub_answers():
            raise self._unusable(
                weights.name, "its weights are not here, and no hub can be reached"
            )
        try:
            model = torch_engine.load(weights.name, weights.path, weights.note)
        except UnusableWeights as error:
            raise self._unusable(weights.name, str(error)) from error
        log.info("model loaded", extra={"model": weights.name, "path": weights.path or "hub"})
        return model

    def _named(self, name: str) -> Weights:
        found = self._at_hand(name)
        if found:
            return found
        if name in _pretrained():
            return Weights(name, None)
        raise self._unusable(name)

    def _at_hand(self, name: str) -> Weights | None:
        """`name` from wherever no network but our own is needed."""
        for folder in (self.folder, _ROOT / "models"):
            if (folder / name).is_dir() and _holds_weights(folder / name):
                return Weights(name, folder / name)
            if (folder / f"{name}.yaml").exists():
                return Weights(name, folder)
            for pattern in (f"{name}.safetensors", f"{name}.th", f"{name}-*.th"):
                for path in folder.glob(pattern):
                    return Weights(name, path)
        found = self._from_bucket(name) or _from_hub_cache(name)
        return Weights(name, found) if found else None

    def _from_bucket(self, name: str) -> Path | None:
        """The folder where the bucket's `<name>/` is, downloaded once for each of its states."""
        try:
            with told():
                objects = list(self.store.list_objects(self.bucket, f"{name}/"))
        except Changed:  # there is no such bucket
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
                with told():
                    for key in files:
                        self.store.fget_object(self.bucket, key, str(coming / Path(key).name))
                if not folder.exists():
                    coming.rename(folder)
            finally:
                shutil.rmtree(coming, ignore_errors=True)
        return folder

    def _names(self) -> set[str]:
        """What a person may be told of: no signatures."""
        paths = [
            path
            for folder in (self.folder, _ROOT / "models")
            for pattern in ("*.safetensors", "*.yaml", "*/*.yaml")
            for path in folder.glob(pattern)
        ]
        return {path.stem for path in paths} | {n for n in _pretrained() if not _SIGNATURE(n)}

    def _unusable(self, name: str, why: str = "") -> BadOption:
        if why:
            log.warning("model cannot be used", extra={"model": name, "why": why})
        accepted = ", ".join(sorted(self._names()))
        reason = f"a model that can be loaded ({why}); known are " if why else "one of "
        return BadOption("model", name, reason + accepted + ", or a name in the bucket of models")


def _pretrained() -> set[str]:
    """The names and signatures that demucs itself can download. Nothing is imported or asked."""
    package = find_spec("demucs")
    if not package or not package.origin:
        return set()
    remote = Path(package.origin).parent / "remote"
    listed = (remote / "files.txt").read_text().splitlines()
    signatures = {line.split("-")[0] for line in listed if line.endswith(".th")}
    return signatures | {path.stem for path in remote.glob("*.yaml")}


def _from_hub_cache(name: str) -> Path | None:
    """The folder in which the hub's own client keeps `name`, where it has been used before."""
    if name not in _pretrained():
        return None
    from huggingface_hub import try_to_load_from_cache

    # demucs.hf.hf_repo_name, which importing would start torch
    short = name.removeprefix("htdemucs").lstrip("_")
    hub = ("HTDemucs-" + short).rstrip("-") if name.startswith("htdemucs") else f"Demucs-{name}"
    found = try_to_load_from_cache(f"adefossez/{hub}", f"{name}.yaml")
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder and _holds_weights(folder) else None


def _holds_weights(folder: Path) -> bool:
    return any(path.suffix in (".safetensors", ".th") for path in folder.iterdir())


def hub_answers() -> bool:
    """Whether any place can be reached: demucs' own attempts would take minutes to give up."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    http = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    for hub in (os.environ.get("HF_ENDPOINT") or _HUBS[0], _HUBS[1]):
        try:
            http.request("HEAD", hub, timeout=3.0, retries=False)
            return True
        except urllib3.exceptions.HTTPError:
            continue
    return False
