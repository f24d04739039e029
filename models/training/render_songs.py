"""Render each song in midi/ twice to four stems in data/.

    python render_songs.py INDEX COUNT

Variant a sings the lead melody. Variant b has another soundfont, key and programs, keeps the lead
as an instrument, and has the voice sing apart from it. Run COUNT processes with INDEX from 0 on to
share the songs among them.
"""

# ruff: noqa: S311 (random music, no secrets)

import copy
import itertools
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pretty_midi
import soundfile
from network import RATE, SOURCES
from sing import sing

Audio = npt.NDArray[Any]

SOUNDFONTS = {
    "a": "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "b": "/usr/share/sounds/sf3/MuseScore_General_Full.sf3",
}
LONGEST_S, SHORTEST_S = 80, 20
FLUIDSYNTH_TIMEOUT_S = 25  # a few songs make it render without end
LEVELS = {"drums": 0.09, "bass": 0.08, "other": 0.07, "vocals": 0.08}  # RMS
BASSES = range(32, 40)  # General MIDI programs
DRUM_KITS = [0, 8, 16, 24, 25, 32, 40]
OTHER_BASSES = [32, 33, 34, 35, 36, 38, 39]
OTHER_PROGRAMS = [
    *(0, 4, 16, 19, 24, 25, 26, 27, 28, 29, 30, 48),
    *(50, 56, 61, 65, 68, 73, 80, 81, 88, 89),
]
SILENCE = np.zeros((2, 10))


def main(index: int, count: int) -> None:
    """Render the songs that are not rendered yet; print the ones that cannot be."""
    for variant in SOUNDFONTS:
        for song in sorted(Path("midi").glob("*.mid"))[index::count]:
            folder = Path("data") / f"{song.stem}_{variant}"
            if (folder / "vocals.flac").exists():
                continue
            try:
                render(song, folder, variant)
            except Exception as error:  # noqa: BLE001 (MIDI files break parsers in many ways)
                print(song, variant, repr(error)[:200], flush=True)


def render(song: Path, folder: Path, variant: str) -> None:
    """Write one song's four stems into `folder`."""
    midi = pretty_midi.PrettyMIDI(str(song))
    instruments = [_shorten(instrument) for instrument in midi.instruments if instrument.notes]
    seconds = min(LONGEST_S, midi.get_end_time())
    if variant == "b":
        _disguise(instruments, random.Random(f"{song.stem}b"))
    drums = [instrument for instrument in instruments if instrument.is_drum]
    bass = [
        instrument
        for instrument in instruments
        if not instrument.is_drum and instrument.program in BASSES
    ]
    others = [
        instrument
        for instrument in instruments
        if instrument not in drums and instrument not in bass
    ]
    if not others or seconds < SHORTEST_S:
        return
    lead, dice = max(others, key=_melody_score), random.Random(song.stem)
    melody = _melody(lead)
    if variant == "b":
        interval = dice.choice([-12, -5, -3, 3, 4, 7])
        for note in melody:
            note.pitch += interval
    else:
        others.remove(lead)
    bands = {"drums": drums, "bass": bass, "other": others}
    stems = {name: _play(band, SOUNDFONTS[variant]) for name, band in bands.items()}
    stems["vocals"] = sing(melody, seconds, dice)
    _write({name: _fit(stems[name], int(seconds * RATE)) for name in SOURCES}, folder, dice)


def _shorten(instrument: pretty_midi.Instrument) -> pretty_midi.Instrument:
    instrument.notes = [note for note in instrument.notes if note.start < LONGEST_S]
    for note in instrument.notes:
        note.end = min(note.end, LONGEST_S)
    for name in ("control_changes", "pitch_bends"):
        events = [event for event in getattr(instrument, name) if event.time < LONGEST_S]
        setattr(instrument, name, events)
    return instrument


def _disguise(instruments: list[pretty_midi.Instrument], dice: random.Random) -> None:
    """Change the key and the programs."""
    interval = dice.choice([-4, -3, -2, 2, 3, 5])
    for instrument in instruments:
        if instrument.is_drum:
            instrument.program = dice.choice(DRUM_KITS)
            continue
        for note in instrument.notes:
            note.pitch = min(110, max(20, note.pitch + interval))
        if instrument.program in BASSES:
            instrument.program = dice.choice(OTHER_BASSES)
        elif dice.random() < 0.4:
            instrument.program = dice.choice(OTHER_PROGRAMS)


def _melody_score(instrument: pretty_midi.Instrument) -> float:
    """Rate an instrument as lead: in a voice's range, one note at a time, and playing often."""
    notes = instrument.notes
    in_range = bool(52 <= np.mean([note.pitch for note in notes]) <= 86)
    pairs = itertools.pairwise(notes)
    overlapping = sum(note.end > following.start + 0.05 for note, following in pairs)
    seconds = float(sum(note.end - note.start for note in notes))
    score: float = in_range * (1 - overlapping / len(notes)) * min(seconds, 60)
    return score


def _melody(lead: pretty_midi.Instrument) -> list[pretty_midi.Note]:
    """Return the highest notes, one at a time, each long enough to be sung."""
    melody: list[pretty_midi.Note] = []
    previous_end = 0.0
    for note in sorted(lead.notes, key=lambda note: (note.start, -note.pitch)):
        if note.start < previous_end - 0.02:
            continue
        sung = copy.copy(note)
        if sung.end - sung.start < 0.1:
            sung.end = sung.start + 0.12
        if melody and melody[-1].end > sung.start:
            melody[-1].end = sung.start
        melody.append(sung)
        previous_end = sung.end
    return melody


def _play(instruments: list[pretty_midi.Instrument], soundfont: str) -> Audio:
    """Return [2, n] as FluidSynth plays it."""
    if not instruments:
        return SILENCE
    with tempfile.TemporaryDirectory() as folder:
        midi = pretty_midi.PrettyMIDI(initial_tempo=120)
        midi.instruments = instruments
        midi.write(f"{folder}/song.mid")
        command = ["fluidsynth", "-q", "-ni", "-g", "0.6", "-r", str(RATE), "-F"]
        command += [f"{folder}/song.wav", soundfont, f"{folder}/song.mid"]
        subprocess.run(command, check=True, capture_output=True, timeout=FLUIDSYNTH_TIMEOUT_S)
        audio: Audio = soundfile.read(f"{folder}/song.wav")[0].T
        return audio


def _fit(audio: Audio, n: int) -> Audio:
    fitted = np.zeros((2, n), np.float32)
    fitted[:, : audio.shape[1]] = audio[:, :n]
    return fitted


def _write(stems: dict[str, Audio], folder: Path, dice: random.Random) -> None:
    """Write the stems at usual levels, scaled so that their sum does not clip."""
    for name, audio in stems.items():
        level = np.sqrt((audio**2).mean())
        if level > 1e-4:
            audio *= LEVELS[name] / level * dice.uniform(0.8, 1.25)
    gain = min(1, 0.98 / np.abs(sum(stems.values())).max())
    folder.mkdir(parents=True, exist_ok=True)
    for name, audio in stems.items():  # vocals last: they mark a song as rendered
        soundfile.write(folder / f"{name}.flac", (audio * gain).T, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
