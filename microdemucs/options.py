"""The options of a job: their names, accepted values, and form as object metadata.

They are those of the `demucs` command (demucs.separate, version 4.1). They arrive in a REST body,
the web form, or an object's metadata, and are always stored as the object's metadata, so that a
song carries its own options.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from microdemucs.plain_numbers import decimal_number, decimal_text, whole_number
from microdemucs.problems import Rejected

CONTENT_TYPES = {"mp3": "audio/mpeg", "flac": "audio/flac", "wav": "audio/wav"}
FORMATS = tuple(CONTENT_TYPES)
CLIP_MODES = ("rescale", "clamp", "none")
CHANNELS = ("mix", "front")
# MPEG-1 layer III, ISO/IEC 11172-3, 2.4.2.3: what a 44.1 kHz stream may have.
BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MAX_SHIFTS = 20
MAX_OVERLAP = 0.9


class BadOption(Rejected):
    """An option has a value that it does not accept; the text names both."""

    def __init__(self, name: str, value: Any, accepts: str) -> None:
        shown = str(value)[:80]
        super().__init__(
            "bad-option",
            "An option has a value it does not accept",
            f"{name} is {shown!r}; it accepts {accepts}",
            option=name,
            accepts=accepts,
        )


@dataclass(frozen=True, slots=True)
class Options:
    """How to separate a song.

    model      "": the deployment's default
    two_stems  a source: write it and the sum of all others; "": write every stem
    stems      which stems to write; (): all
    format     mp3, flac or wav
    bits       per sample of flac (16, 24) and wav (16, 24, 32: float)
    bitrate    of mp3, kbit/s
    shifts     how many randomly shifted passes are averaged; 0: one pass, not shifted
    overlap    of neighbouring segments, as a share of a segment
    segment    s, 1 to 60; 0.0: the model's own
    clip_mode  rescale, clamp or none: what to do with samples beyond full scale
    channels   of more than two, mix: mix them down; front: take the first two, as demucs does
    allow_truncated  whether to separate a song that is not complete
    """

    model: str = ""
    two_stems: str = ""
    stems: tuple[str, ...] = ()
    format: str = "mp3"
    bits: int = 16
    bitrate: int = 320
    shifts: int = 0
    overlap: float = 0.25
    segment: float = 0.0
    clip_mode: str = "rescale"
    channels: str = "mix"
    allow_truncated: bool = False

    @staticmethod
    def of_request(given: Mapping[str, Any]) -> "Options":
        """Parse options from a request. An unknown name is an error. Raises BadOption."""
        for name in given:
            if name.replace("-", "_") not in _READERS:
                raise BadOption("options", name, "the names " + ", ".join(_READERS))
        return _read(given)

    @staticmethod
    def of_metadata(metadata: Mapping[str, str]) -> "Options":
        """Parse options from an object's metadata. Other names are ignored. Raises BadOption."""
        return _read(metadata)

    def changed(self) -> dict[str, Any]:
        """Return the options that differ from the defaults, as JSON values."""
        default = Options()
        chosen = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in chosen.items()
            if value != getattr(default, name)
        }

    def metadata(self) -> dict[str, str]:
        """Return S3 user metadata without its prefix, which `of_metadata` parses."""
        return {
            name.replace("_", "-"): ",".join(value) if isinstance(value, list) else _text(value)
            for name, value in self.changed().items()
        }


def _text(value: Any) -> str:
    if isinstance(value, float):
        return decimal_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def option_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of `metadata` whose names are options, whatever their values are."""
    return {
        name.replace("-", "_"): value
        for name, value in metadata.items()
        if name.replace("-", "_") in _READERS
    }


def _read(given: Mapping[str, Any]) -> Options:
    values = {
        name.replace("-", "_"): _READERS[name.replace("-", "_")](name.replace("-", "_"), value)
        for name, value in given.items()
        if name.replace("-", "_") in _READERS and value not in ("", None)
    }
    options = Options(**values)
    if options.format == "flac" and options.bits == 32:
        raise BadOption("bits", 32, "16 or 24 for flac (32-bit float is for wav)")
    if options.two_stems and options.stems:
        raise BadOption("stems", ",".join(options.stems), "nothing beside two_stems")
    return options


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value):
        raise BadOption(name, value, "a name: letters, digits, '_', '-' and '.'")
    return value


def _words(name: str, value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise BadOption(name, value, "a list of stems, as in drums,vocals")
    return tuple(
        dict.fromkeys(
            _word(name, stem.strip() if isinstance(stem, str) else stem) for stem in listed
        )
    )


def _one_of(*accepted: str | int) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> Any:
        found = [word for word in accepted if str(word) == str(value).strip().lower()]
        if not found or isinstance(value, bool):
            raise BadOption(name, value, ", ".join(map(str, accepted)))
        return found[0]

    return read


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str, Any], Any]:
    read_text = whole_number if kind is int else decimal_number
    accepts = f"{'a whole number' if kind is int else 'a number'} from {low:g} to {high:g}"

    def read(name: str, value: Any) -> Any:
        number = read_text(value.strip()) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, (int, kind)):
            raise BadOption(name, value, accepts)
        if not low <= number <= high:  # false for NaN too
            raise BadOption(name, value, accepts)
        return kind(number)

    return read


def _yes_or_no(name: str, value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    chosen = words.get(str(value).strip().lower())
    if chosen is None:
        raise BadOption(name, value, "true or false")
    return chosen


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "model": _word,
    "two_stems": _word,
    "stems": _words,
    "format": _one_of(*FORMATS),
    "bits": _one_of(16, 24, 32),
    "bitrate": _one_of(*BITRATES),
    "shifts": _number(int, 0, MAX_SHIFTS),
    "overlap": _number(float, 0, MAX_OVERLAP),
    "segment": _number(float, 1, 60),
    "clip_mode": _one_of(*CLIP_MODES),
    "channels": _one_of(*CHANNELS),
    "allow_truncated": _yes_or_no,
}
