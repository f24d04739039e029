"""The models that this process can use without the bucket of models, as users see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions.separate.engine import UnusableWeights, hub
from functions.separate.engine.locate import BUNDLED, LocatedModel, find_at_path
from functions.separate.engine.registry import ModelRegistry
from microdemucs.models.catalogue import Location, ModelEntry, ModelsRecord
from microdemucs.models.description import describe
from microdemucs.paths import MODELS


@dataclass(frozen=True, slots=True)
class FilesOnDisk:
    """The files of a model on this machine's disks: one file of weights, or a folder."""

    weights: Path

    def sizes(self) -> Mapping[str, int]:
        """Return the names and sizes of the files. Raises OSError."""
        files = [self.weights] if self.weights.is_file() else self.weights.iterdir()
        return {file.name: file.stat().st_size for file in files if file.is_file()}

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of a file. Raises OSError."""
        folder = self.weights.parent if self.weights.is_file() else self.weights
        with (folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)


def make_record(models: ModelRegistry) -> ModelsRecord:
    """Return the record that tells upload what this process can use."""
    engines = models.engines()
    default = models.settings.default
    return ModelsRecord(
        default=find_at_path(Path(default)).name if "/" in default else default,
        engines=engines,
        models=[_describe(model, models, engines) for model in models.found_on_disk()],
        downloads=sorted(hub.names()) if hub.fetches_on_demand() else [],
    )


def _describe(model: LocatedModel, models: ModelRegistry, engines: list[str]) -> ModelEntry:
    assert model.weights
    location = _location(model, models.settings.folder)
    try:
        facts = describe(model.name, FilesOnDisk(model.weights), engines)
    except (UnusableWeights, OSError) as error:
        return ModelEntry(name=model.name, location=location, reason=str(error))
    return ModelEntry(name=model.name, location=location, note=model.note, facts=facts)


def _location(model: LocatedModel, folder: Path) -> Location:
    assert model.weights
    if model.name == BUNDLED and model.weights.is_relative_to(MODELS):
        return Location.BUNDLED
    default_folders = (folder, MODELS)
    if any(model.weights.is_relative_to(parent) for parent in default_folders):
        return Location.FOLDER
    return Location.CACHE
