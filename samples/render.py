"""Render black_mountain.mp3 and its four true stems: samples/README.md names every source.

    apt-get install --no-install-recommends freedoom fluid-soundfont-gm fluidsynth flite
    pip install numpy soundfile soxr lameenc mido pyworld
    python samples/render.py FOLDER

FOLDER gets black_mountain.mp3, and drums.wav, bass.wav, other.wav and vocals.wav, whose sum it is.
The band plays the MIDI through a soundfont; the melody of the first saxophone is sung instead, by
a speech synthesizer whose words are given the notes' pitch and length (WORLD vocoder).
"""

import io
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import lameenc
import mido
import numpy as np
import pyworld
import soundfile
import soxr

WAD = Path("/usr/share/games/doom/freedoom2.wad")
LUMP = b"D_ULTIMA"  # "3. Black Mountain", says its first track
SOUNDFONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
VOICE = "rms"

RATE = 44100
START, SECONDS = 233.7, 43.0  # both verses of the melody
DRUMS, BASS, LEAD = {9}, {0}, {4}  # MIDI channels; all others are the other stem
OCTAVE_DOWN = -12  # where the voice is at home

LYRICS = """
    snow falls on the
    slope day comes round us like snow
    white hills far from all known
    climb now for the
    stone wind sings of the road home
    down down where the lights glow
"""  # one word a note; written for this

# How loud each stem is in the mix: root mean square, full scale is 1.
LOUDNESS = {"drums": 0.085, "bass": 0.075, "other": 0.065, "vocals": 0.085}

_VOICE_RATE, _FRAME_S = 16000, 0.005


def main(folder: Path) -> None:
    """Write the song and its stems into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    song = mido.MidiFile(file=io.BytesIO(lump(WAD.read_bytes(), LUMP)))
    others = set(range(16)) - DRUMS - BASS - LEAD
    stems = {
        "drums": played(song, DRUMS),
        "bass": played(song, BASS),
        "other": played(song, others),
        "vocals": in_a_room(sung(notes(song, LEAD), LYRICS.split())),
    }
    fade = np.clip(np.linspace(SECONDS / 2, 0, int(SECONDS * RATE)), 0, 1)  # over the last 2 s
    for name, stem in stems.items():
        stem *= fade * LOUDNESS[name] / np.sqrt(np.mean(stem**2))
    loudest = np.abs(sum(stems.values())).max()
    for stem in stems.values():
        stem *= 0.9 / loudest
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem.T, RATE, subtype="FLOAT")
    (folder / "black_mountain.mp3").write_bytes(mp3(np.asarray(sum(stems.values()))))


def lump(wad: bytes, name: bytes) -> bytes:
    """The entry `name` of a WAD: its directory has an offset, a size and a name each."""
    count, directory = struct.unpack_from("<ii", wad, 4)
    for entry in range(directory, directory + 16 * count, 16):
        offset, size, found = struct.unpack_from("<ii8s", wad, entry)
        if found.rstrip(b"\0") == name:
            return wad[offset : offset + size]
    raise SystemExit(f"{name.decode()} is not in {WAD}")


def played(song: mido.MidiFile, channels: set[int]) -> np.ndarray:
    """What `channels` play, as (2, samples)."""
    part = mido.MidiFile(ticks_per_beat=song.ticks_per_beat)
    part.tracks.append(mido.MidiTrack(_only(mido.merge_tracks(song.tracks), channels)))
    with tempfile.TemporaryDirectory() as folder:
        part.save(f"{folder}/part.mid")
        how = f"-q -ni -g 0.5 -r {RATE} -O float -F {folder}/part.wav".split()
        subprocess.run(["fluidsynth", *how, SOUNDFONT, f"{folder}/part.mid"], check=True)
        start, length = int(START * RATE), int(SECONDS * RATE)
        audio, _ = soundfile.read(f"{folder}/part.wav", frames=length, start=start)
    return audio.T.copy()


def _only(track: mido.MidiTrack, channels: set[int]) -> list:
    kept, waited = [], 0
    for message in track:
        waited += message.time
        if message.is_meta or getattr(message, "channel", None) in channels:
            kept.append(message.copy(time=waited))
            waited = 0
    return kept


def notes(song: mido.MidiFile, channels: set[int]) -> list[tuple[float, float, int]]:
    """Start and length in s, from START on, and pitch of every note within SECONDS."""
    now, sounding, found = -START, {}, []
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


def sung(melody: list[tuple[float, float, int]], words: list[str]) -> np.ndarray:
    """One word a note, as (samples,)."""
    frames = int(SECONDS / _FRAME_S)
    pitch = np.zeros(frames)
    envelope, breath = np.full((frames, 513), 1e-10), np.ones((frames, 513))
    for (start, length, note), word in zip(melody, words, strict=True):
        voiced, spoken, noise = spoken_word(word)
        first = int(start / _FRAME_S)
        count = min(int(length / _FRAME_S), frames - first)
        from_ = stretched(len(voiced), count)
        time = np.arange(count) * _FRAME_S
        vibrato = 0.3 * np.clip(time - 0.4, 0, 1) * np.sin(2 * np.pi * 5.2 * time)  # half tones
        slide = -1.0 * np.exp(-time / 0.04)  # from a half tone below
        hertz = 440 * 2 ** ((note + OCTAVE_DOWN - 69 + vibrato + slide) / 12)
        edge = np.clip(np.minimum(np.arange(count) + 1, count - np.arange(count)) / 8, 0, 1)
        pitch[first : first + count] = np.where(voiced[from_], hertz, 0)
        envelope[first : first + count] = spoken[from_] * edge[:, None] ** 2
        breath[first : first + count] = noise[from_]
    voice = pyworld.synthesize(pitch, envelope, breath, _VOICE_RATE, 1000 * _FRAME_S)
    for start, length, _ in melody:  # high notes come out softer
        sound = voice[int(start * _VOICE_RATE) : int((start + length) * _VOICE_RATE)]
        sound /= np.sqrt(np.mean(sound**2))
    return soxr.resample(voice, _VOICE_RATE, RATE)[: int(SECONDS * RATE)]


def spoken_word(word: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of `word` as it is spoken: whether voiced, spectral envelope, aperiodicity."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", VOICE, "-t", word, "-o", file.name], check=True)
        spoken, rate = soundfile.read(file.name)
    spoken = soxr.resample(spoken, rate, _VOICE_RATE)
    heard = np.flatnonzero(np.abs(spoken) > 0.02 * np.abs(spoken).max())
    spoken = np.ascontiguousarray(spoken[heard[0] : heard[-1]])
    rough, times = pyworld.dio(spoken, _VOICE_RATE, frame_period=1000 * _FRAME_S)
    pitch = pyworld.stonemask(spoken, rough, times, _VOICE_RATE)
    envelope = pyworld.cheaptrick(spoken, pitch, times, _VOICE_RATE, fft_size=1024)
    return pitch > 0, envelope, pyworld.d4c(spoken, pitch, times, _VOICE_RATE, fft_size=1024)


def stretched(frames: int, wanted: int) -> np.ndarray:
    """Which of `frames` to take, `wanted` times: consonants keep their length, vowels give."""
    onset, coda = int(0.4 * frames), int(0.3 * frames)
    if wanted <= onset + coda:
        return np.linspace(0, frames - 1, wanted).astype(int)
    return np.concatenate(
        [
            np.arange(onset),
            np.linspace(onset, frames - coda - 1, wanted - onset - coda).astype(int),
            np.arange(frames - coda, frames),
        ]
    )


def in_a_room(voice: np.ndarray) -> np.ndarray:
    """`voice` with a little reverberation, as (2, samples)."""
    drawn = np.random.default_rng(7).standard_normal((2, int(0.8 * RATE)))
    tail = drawn * np.exp(-np.arange(drawn.shape[1]) / (0.18 * RATE))
    tail *= 0.35 / np.sqrt((tail**2).sum(axis=1, keepdims=True))
    size = len(voice) + tail.shape[1]
    echo = np.fft.irfft(np.fft.rfft(voice, size) * np.fft.rfft(tail, size), size)
    return voice + echo[:, : len(voice)]


def mp3(audio: np.ndarray) -> bytes:
    """`audio` at 192 kbit/s."""
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
