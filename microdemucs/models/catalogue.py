"""The models that users can choose now.

The separate function publishes its own models as a record in the bucket of models: those of its
image, its folder, and its cache. The upload function adds the models in that bucket, and so knows
all of them while no process of the separate function runs.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from microdemucs.manifest import decode
from microdemucs.models import BUNDLED, FULL, LIMITED_QUALITY
from microdemucs.models.description import OPENVINO, ModelFacts
from microdemucs.options import BadOption, Options

RECORD_KEY = "usable-models.json"
"""The key of the record in the bucket of models. No model has this name: a model is a folder."""
MAX_RECORD_BYTES = 1 << 22

_is_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}").fullmatch  # as the option `model`


class Location(StrEnum):
    """Where a model is; the separate function looks in this order."""

    FOLDER = "folder"
    """The folder of models (setting MODELS_DIR)."""
    BUNDLED = "bundled"
    """In the program itself."""
    BUCKET = "bucket"
    """The bucket of models, under the model's name."""
    CACHE = "cache"
    """The hub's cache on the machine of the separate function."""


class ModelEntry(Struct, frozen=True, kw_only=True):
    """A model that was found. `facts` is None if it cannot be used, and `reason` says why."""

    name: str
    location: Location
    note: str = ""
    facts: ModelFacts | None = None
    reason: str = ""


class ModelsRecord(Struct, frozen=True, kw_only=True):
    """What a process of the separate function can use without the bucket of models.

    `default` is the setting MODEL as a name; "" chooses htdemucs if it is found, else the bundled
    model. `engines` are those that it has. `downloads` are the names of models that it fetches from
    the hub when a job asks for them.
    """

    default: str = ""
    engines: list[str]
    models: list[ModelEntry]
    downloads: list[str] = []

    @staticmethod
    def read(text: bytes) -> "ModelsRecord":
        """Read what `write` wrote. Raises BadDocument."""
        return decode(text, ModelsRecord)

    def write(self) -> bytes:
        """Return the record as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


BUNDLED_MODEL = ModelEntry(
    name=BUNDLED,
    location=Location.BUNDLED,
    note=LIMITED_QUALITY,
    facts=ModelFacts(
        sources=["drums", "bass", "other", "vocals"], segment=3.9, max_segment=3.9, networks=1
    ),
)

UNKNOWN = ModelsRecord(engines=[OPENVINO], models=[BUNDLED_MODEL])
"""The record until the separate function has published one: every image has the bundled model."""


class Catalogue:
    """All models that were found, of which users can choose those that can be used.

    `is_complete` is False until the separate function has published its models. Until then there
    may be others, and nothing is refused.
    """

    def __init__(self, record: ModelsRecord | None, in_bucket: Iterable[ModelEntry]) -> None:
        self.is_complete = record is not None
        self._record = record or UNKNOWN
        order = list(Location)
        entries = [*self._record.models, *in_bucket]
        entries.sort(key=lambda entry: order.index(entry.location), reverse=True)
        self._found = {entry.name: entry for entry in entries if _is_name(entry.name)}

    @property
    def usable(self) -> list[ModelEntry]:
        """The models that users can choose, by name."""
        usable = [entry for entry in self._found.values() if entry.facts]
        return sorted(usable, key=lambda entry: entry.name)

    @property
    def default(self) -> ModelEntry | None:
        """The model of a job that names none; None if it is not known or cannot be used."""
        if not self.is_complete:
            return None
        name = self._record.default or (FULL if FULL in self._found else BUNDLED)
        entry = self._found.get(name)
        return entry if entry and entry.facts else None

    def check(self, options: Options) -> None:
        """Raise BadOption if no job with these options can succeed, because of its model."""
        if not self.is_complete:
            return
        name = options.model
        entry = self._found.get(name) if name else self.default
        if entry and entry.facts:
            check_stems(options, entry.name, entry.facts.sources, entry.facts.max_segment)
        elif entry and name:
            raise self._bad_model(name, entry.reason)
        elif name and name not in self._record.downloads:
            raise self._bad_model(name)

    def _bad_model(self, name: str, reason: str = "") -> BadOption:
        accepts = ", ".join(entry.name for entry in self.usable)
        if self._record.downloads:
            accepts += ", or one of demucs' own models"
        if reason:
            accepts += f"; this one cannot be used: {reason}"
        return BadOption("model", name, accepts)


def check_stems(
    options: Options, model: str, sources: Sequence[str], max_segment: float | None
) -> None:
    """Raise BadOption if the model has no such source, or takes no such segment.

    No `sources`: they are not known. `max_segment` is in seconds, None for no limit.
    """
    if max_segment is not None and options.segment > max_segment:
        raise BadOption("segment", f"{options.segment:g}", f"1 to {max_segment:g} with {model}")
    if not sources:
        return
    accepted = ", ".join(sources)
    if options.two_stems and options.two_stems not in sources:
        raise BadOption("two_stems", options.two_stems, accepted)
    for name in options.stems:
        if name not in sources:
            raise BadOption("stems", name, accepted)
