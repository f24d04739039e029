"""Render each song in midi/ to four stems in data/, twice: python render.py PART PARTS

a: its lead melody is sung. b: another soundfont, key and programs; the lead stays an instrument,
and the voice sings apart from it. PART of PARTS processes takes every PARTS-th song.
"""

# ruff: noqa: S311 (dice for music, no secrets)

import copy
import itertools
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pretty_midi
import soundfile
from network import RATE, SOURCES
from sing import sing

SOUNDFONTS = {
    "a": "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "b": "/usr/share/sounds/sf3/MuseScore_General_Full.sf3",
}
LONGEST_S, SHORTEST_S = 80, 20
FLUIDSYNTH_S = 25  # a few songs make it render without end
LEVELS = {"drums": 0.09, "bass": 0.08, "other": 0.07, "vocals": 0.08}  # RMS
BASSES = range(32, 40)  # General MIDI programs
DRUM_KITS = [0, 8, 16, 24, 25, 32, 40]
OTHER_BASSES = [32, 33, 34, 35, 36, 38, 39]
OTHER_PROGRAMS = [
    *(0, 4, 16, 19, 24, 25, 26, 27, 28, 29, 30, 48),
    *(50, 56, 61, 65, 68, 73, 80, 81, 88, 89),
]
SILENCE = np.zeros((2, 10))


def main(part: int, parts: int) -> None:
    """Render what is not there yet; a song that cannot be rendered is named and left out."""
    for variant in SOUNDFONTS:
        for song in sorted(Path("midi").glob("*.mid"))[part::parts]:
            into = Path("data") / f"{song.stem}_{variant}"
            if (into / "vocals.flac").exists():
                continue
            try:
                render(song, into, variant)
            except Exception as error:  # noqa: BLE001 (MIDI files break parsers in many ways)
                print(song, variant, repr(error)[:200], flush=True)


def render(song: Path, into: Path, variant: str) -> None:
    """One song's four stems."""
    midi = pretty_midi.PrettyMIDI(str(song))
    instruments = [_shortened(one) for one in midi.instruments if one.notes]
    seconds = min(LONGEST_S, midi.get_end_time())
    if variant == "b":
        _disguise(instruments, random.Random(f"{song.stem}b"))
    drums = [one for one in instruments if one.is_drum]
    bass = [one for one in instruments if not one.is_drum and one.program in BASSES]
    others = [one for one in instruments if one not in drums and one not in bass]
    if not others or seconds < SHORTEST_S:
        return
    lead, dice = max(others, key=_is_melody), random.Random(song.stem)
    melody = _one_voice(lead)
    if variant == "b":
        apart = dice.choice([-12, -5, -3, 3, 4, 7])
        for note in melody:
            note.pitch += apart
    else:
        others.remove(lead)
    played = {"drums": drums, "bass": bass, "other": others}
    stems = {name: _play(those, SOUNDFONTS[variant]) for name, those in played.items()}
    stems["vocals"] = sing(melody, seconds, dice)
    _write({name: _fit(stems[name], int(seconds * RATE)) for name in SOURCES}, into, dice)


def _shortened(instrument: pretty_midi.Instrument) -> pretty_midi.Instrument:
    instrument.notes = [note for note in instrument.notes if note.start < LONGEST_S]
    for note in instrument.notes:
        note.end = min(note.end, LONGEST_S)
    for name in ("control_changes", "pitch_bends"):
        kept = [one for one in getattr(instrument, name) if one.time < LONGEST_S]
        setattr(instrument, name, kept)
    return instrument


def _disguise(instruments: list[pretty_midi.Instrument], dice: random.Random) -> None:
    """Another key and other programs."""
    up = dice.choice([-4, -3, -2, 2, 3, 5])
    for one in instruments:
        if one.is_drum:
            one.program = dice.choice(DRUM_KITS)
            continue
        for note in one.notes:
            note.pitch = min(110, max(20, note.pitch + up))
        if one.program in BASSES:
            one.program = dice.choice(OTHER_BASSES)
        elif dice.random() < 0.4:
            one.program = dice.choice(OTHER_PROGRAMS)


def _is_melody(instrument: pretty_midi.Instrument) -> float:
    """How much it looks like one: in a voice's range, one note at a time, often heard."""
    notes = instrument.notes
    in_range = 52 <= np.mean([note.pitch for note in notes]) <= 86
    pairs = itertools.pairwise(notes)
    overlapping = sum(one.end > following.start + 0.05 for one, following in pairs)
    heard = sum(note.end - note.start for note in notes)
    return in_range * (1 - overlapping / len(notes)) * min(heard, 60)


def _one_voice(lead: pretty_midi.Instrument) -> list[pretty_midi.Note]:
    """Its highest notes, one at a time, none too short to be sung."""
    melody: list[pretty_midi.Note] = []
    ended = 0.0  # the last one, as it was written
    for note in sorted(lead.notes, key=lambda note: (note.start, -note.pitch)):
        if note.start < ended - 0.02:
            continue
        sung = copy.copy(note)
        if sung.end - sung.start < 0.1:
            sung.end = sung.start + 0.12
        if melody and melody[-1].end > sung.start:
            melody[-1].end = sung.start
        melody.append(sung)
        ended = sung.end
    return melody


def _play(instruments: list[pretty_midi.Instrument], soundfont: str) -> np.ndarray:
    """[2, n] by FluidSynth."""
    if not instruments:
        return SILENCE
    with tempfile.TemporaryDirectory() as folder:
        midi = pretty_midi.PrettyMIDI(initial_tempo=120)
        midi.instruments = instruments
        midi.write(f"{folder}/song.mid")
        command = ["fluidsynth", "-q", "-ni", "-g", "0.6", "-r", str(RATE), "-F"]
        command += [f"{folder}/song.wav", soundfont, f"{folder}/song.mid"]
        subprocess.run(command, check=True, capture_output=True, timeout=FLUIDSYNTH_S)
        return soundfile.read(f"{folder}/song.wav")[0].T


def _fit(audio: np.ndarray, n: int) -> np.ndarray:
    fitted = np.zeros((2, n), np.float32)
    fitted[:, : audio.shape[1]] = audio[:, :n]
    return fitted


def _write(stems: dict[str, np.ndarray], into: Path, dice: random.Random) -> None:
    """At usual levels, and so that their sum does not clip."""
    for name, audio in stems.items():
        level = np.sqrt((audio**2).mean())
        if level > 1e-4:
            audio *= LEVELS[name] / level * dice.uniform(0.8, 1.25)
    gain = min(1, 0.98 / np.abs(sum(stems.values())).max())
    into.mkdir(parents=True, exist_ok=True)
    for name, audio in stems.items():  # vocals last: they mark a song as rendered
        soundfile.write(into / f"{name}.flac", (audio * gain).T, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
