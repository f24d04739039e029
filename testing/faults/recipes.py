"""The kinds of songs that a campaign sends: any number of different files of the same music."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import soundfile

from testing.songs import samples


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the songs of one kind are made, and the options that they are sent with.

    `form` and `subtype` are libsndfile's; a song without `form` is no audio. `other_options` are
    for a song that is put a second time with other options.
    """

    name: str
    form: str = ""
    subtype: str = ""
    seconds: float = 3.0
    options: Mapping[str, str] = field(default_factory=dict)
    other_options: Mapping[str, str] | None = None
    is_accepted_by_api: bool = True

    @property
    def has_stems(self) -> bool:
        """Whether its songs can be separated."""
        return bool(self.form) and self.is_accepted_by_api

    def body(self, number: int) -> bytes:
        """Return the file of song `number`: other bytes than any other number, the same music."""
        if not self.form:
            return f"no audio, number {number}".encode() * 100
        file = io.BytesIO()
        with soundfile.SoundFile(
            file, "w", 44_100, 2, format=self.form, subtype=self.subtype
        ) as writer:
            writer.comment = f"number {number:08}"
            writer.write(samples(self.seconds))
        return file.getvalue()


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("plain.mp3", "MP3", "MPEG_LAYER_III", other_options={"format": "flac"}),
        Recipe(
            "vocals.flac",
            *("FLAC", "PCM_16", 4.0),
            options={"format": "flac", "two-stems": "vocals"},
            other_options={},
        ),
        Recipe("small.ogg", "OGG", "VORBIS", 3.5, options={"bitrate": "128"}),
        Recipe("drums.wav", "WAV", "PCM_16", 5.0, options={"format": "wav", "stems": "drums,bass"}),
        # long enough for ranges, and for stems and range results of several parts
        Recipe("long.flac", "FLAC", "PCM_16", 36.0, options={"format": "wav", "bits": "32"}),
        Recipe("no audio.mp3"),
        Recipe(
            "bad option.wav",
            *("WAV", "PCM_16", 3.0),
            options={"format": "aiff"},
            is_accepted_by_api=False,
        ),
    )
}
RANGE_SECONDS = 12
"""Seconds of audio in a range, so that one of the recipes is divided."""
