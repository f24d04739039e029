"""Render black_mountain.mp3 and its four true stems. README.md names every source.

    apt-get install --no-install-recommends freedoom fluid-soundfont-gm fluidsynth flite
    pip install numpy soundfile soxr lameenc mido pyworld
    python samples/render.py FOLDER

Writes black_mountain.mp3 into FOLDER, and the stems drums.wav, bass.wav, other.wav and vocals.wav,
whose sum it is. FluidSynth plays the MIDI song with a soundfont. The melody of the first saxophone
is sung instead: a speech synthesizer speaks the words, and the WORLD vocoder gives them the pitch
and length of the notes.
"""

import functools
import io
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import lameenc
import mido
import numpy as np
import numpy.typing as npt
import pyworld
import soundfile
import soxr

Audio = npt.NDArray[Any]

WAD = Path("/usr/share/games/doom/freedoom2.wad")
LUMP = b"D_ULTIMA"  # its first track has the title "3. Black Mountain"
SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
VOICE = "rms"

RATE = 44100
START_S, SECONDS = 233.7, 43.0  # both verses of the melody
DRUMS, BASS, LEAD = {9}, {0}, {4}  # MIDI channels; all others are the other stem
OCTAVE_DOWN = -12  # semitones, into the voice's range

LYRICS = """
    snow falls on the
    slope day comes round us like snow
    white hills far from all known
    climb now for the
    stone wind sings of the road home
    down down where the lights glow
"""  # one word per note; written for this

# Level of each stem in the mix: root mean square, full scale is 1.
LEVELS = {"drums": 0.085, "bass": 0.075, "other": 0.065, "vocals": 0.085}

_VOICE_RATE, _FRAME_S = 16000, 0.005


def main(folder: Path) -> None:
    """Write the song and its stems into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    song = mido.MidiFile(file=io.BytesIO(lump(WAD.read_bytes(), LUMP)))
    others = set(range(16)) - DRUMS - BASS - LEAD
    stems = {
        "drums": play(song, DRUMS),
        "bass": play(song, BASS),
        "other": play(song, others),
        "vocals": reverberate(sing(notes(song, LEAD), LYRICS.split())),
    }
    fade = np.clip(np.linspace(SECONDS / 2, 0, int(SECONDS * RATE)), 0, 1)  # over the last 2 s
    for name, stem in stems.items():
        stem *= fade * LEVELS[name] / np.sqrt(np.mean(stem**2))
    peak = np.abs(_sum(stems)).max()
    for stem in stems.values():
        stem *= 0.9 / peak
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem.T, RATE, subtype="FLOAT")
    (folder / "black_mountain.mp3").write_bytes(encode_mp3(_sum(stems)))


def _sum(stems: dict[str, Audio]) -> Audio:
    total: Audio = functools.reduce(np.add, stems.values())
    return total


def lump(wad: bytes, name: bytes) -> bytes:
    """Return the lump `name` of a WAD file: each entry of its directory is offset, size, name."""
    count, directory = struct.unpack_from("<ii", wad, 4)
    for entry in range(directory, directory + 16 * count, 16):
        offset, size, entry_name = struct.unpack_from("<ii8s", wad, entry)
        if entry_name.rstrip(b"\0") == name:
            return wad[offset : offset + size]
    raise SystemExit(f"{name.decode()} is not in {WAD}")


def play(song: mido.MidiFile, channels: set[int]) -> Audio:
    """Return [2, samples] of these channels."""
    band = mido.MidiFile(ticks_per_beat=song.ticks_per_beat)
    band.tracks.append(mido.MidiTrack(_select(mido.merge_tracks(song.tracks), channels)))
    with tempfile.TemporaryDirectory() as folder:
        band.save(f"{folder}/band.mid")
        options = f"-q -ni -g 0.5 -r {RATE} -O float -F {folder}/band.wav".split()
        subprocess.run(["fluidsynth", *options, SOUNDFONT, f"{folder}/band.mid"], check=True)
        start, length = int(START_S * RATE), int(SECONDS * RATE)
        audio, _ = soundfile.read(f"{folder}/band.wav", frames=length, start=start)
    copied: Audio = audio.T.copy()
    return copied


def _select(track: mido.MidiTrack, channels: set[int]) -> list[mido.Message]:
    selected, ticks = [], 0
    for message in track:
        ticks += message.time
        if message.is_meta or getattr(message, "channel", None) in channels:
            selected.append(message.copy(time=ticks))
            ticks = 0
    return selected


def notes(song: mido.MidiFile, channels: set[int]) -> list[tuple[float, float, int]]:
    """Return start (from START_S on) and length in seconds, and pitch, of each note."""
    now, sounding, found = -START_S, {}, []
    for message in song:
        now += message.time
        if getattr(message, "channel", None) not in channels:
            continue
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = now
        elif message.type in ("note_on", "note_off") and message.note in sounding:
            begin = sounding.pop(message.note)
            if 0 <= begin < SECONDS - 1:
                found.append((begin, now - begin, message.note))
    return found


def sing(melody: list[tuple[float, float, int]], words: list[str]) -> Audio:
    """Return [samples], with one word per note."""
    frames = int(SECONDS / _FRAME_S)
    pitch = np.zeros(frames)
    envelope, breath = np.full((frames, 513), 1e-10), np.ones((frames, 513))
    for (start, length, note), word in zip(melody, words, strict=True):
        voiced, spectrum, noise = speak(word)
        first = int(start / _FRAME_S)
        count = min(int(length / _FRAME_S), frames - first)
        frame = stretch(len(voiced), count)
        time = np.arange(count) * _FRAME_S
        vibrato = 0.3 * np.clip(time - 0.4, 0, 1) * np.sin(2 * np.pi * 5.2 * time)  # semitones
        slide = -1.0 * np.exp(-time / 0.04)  # from a semitone below
        hertz = 440 * 2 ** ((note + OCTAVE_DOWN - 69 + vibrato + slide) / 12)
        edge = np.clip(np.minimum(np.arange(count) + 1, count - np.arange(count)) / 8, 0, 1)
        pitch[first : first + count] = np.where(voiced[frame], hertz, 0)
        envelope[first : first + count] = spectrum[frame] * edge[:, None] ** 2
        breath[first : first + count] = noise[frame]
    voice = pyworld.synthesize(pitch, envelope, breath, _VOICE_RATE, 1000 * _FRAME_S)
    for start, length, _ in melody:  # without this, high notes are softer
        sound = voice[int(start * _VOICE_RATE) : int((start + length) * _VOICE_RATE)]
        sound /= np.sqrt(np.mean(sound**2))
    audio: Audio = soxr.resample(voice, _VOICE_RATE, RATE)[: int(SECONDS * RATE)]
    return audio


def speak(word: str) -> tuple[Audio, Audio, Audio]:
    """Return for each frame: whether it is voiced, its spectral envelope, its aperiodicity."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", VOICE, "-t", word, "-o", file.name], check=True)
        spoken, rate = soundfile.read(file.name)
    spoken = soxr.resample(spoken, rate, _VOICE_RATE)
    audible = np.flatnonzero(np.abs(spoken) > 0.02 * np.abs(spoken).max())
    spoken = np.ascontiguousarray(spoken[audible[0] : audible[-1]])
    rough, times = pyworld.dio(spoken, _VOICE_RATE, frame_period=1000 * _FRAME_S)
    pitch = pyworld.stonemask(spoken, rough, times, _VOICE_RATE)
    envelope = pyworld.cheaptrick(spoken, pitch, times, _VOICE_RATE, fft_size=1024)
    return pitch > 0, envelope, pyworld.d4c(spoken, pitch, times, _VOICE_RATE, fft_size=1024)


def stretch(frames: int, count: int) -> Audio:
    """Return which of `frames` to take, [count]: vowels stretch, consonants keep their length."""
    onset, coda = int(0.4 * frames), int(0.3 * frames)
    if count <= onset + coda:
        return np.linspace(0, frames - 1, count).astype(int)
    return np.concatenate(
        [
            np.arange(onset),
            np.linspace(onset, frames - coda - 1, count - onset - coda).astype(int),
            np.arange(frames - coda, frames),
        ]
    )


def reverberate(voice: Audio) -> Audio:
    """Return [2, samples]: `voice` with a little reverberation."""
    noise = np.random.default_rng(7).standard_normal((2, int(0.8 * RATE)))
    tail = noise * np.exp(-np.arange(noise.shape[1]) / (0.18 * RATE))
    tail *= 0.35 / np.sqrt((tail**2).sum(axis=1, keepdims=True))
    size = len(voice) + tail.shape[1]
    echo = np.fft.irfft(np.fft.rfft(voice, size) * np.fft.rfft(tail, size), size)
    wet: Audio = voice + echo[:, : len(voice)]
    return wet


def encode_mp3(audio: Audio) -> bytes:
    """Return `audio` [2, samples] as MP3 at 192 kbit/s."""
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(192)
    encoder.set_in_sample_rate(RATE)
    encoder.set_channels(2)
    encoder.set_quality(2)
    encoder.silence()
    samples = (audio.T * 32767).round().astype("<i2")
    return bytes(encoder.encode(samples.tobytes()) + encoder.flush())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
