"""Which files are separated, how closely, and which are rejected with a reason."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile

from testing.songs import mp3, samples, song
from testing.stack import Stack


def read_stem(stack: Stack, manifest: dict[str, Any], name: str) -> np.ndarray:
    """Return a stem as [n, 2]."""
    [key] = [entry["key"] for entry in manifest["stems"] if entry["name"] == name]
    data = stack.store.get_object("stems", key).read()
    return np.asarray(soundfile.read(io.BytesIO(data))[0])


WAV = {"format": "wav", "bits": "32"}


@pytest.mark.parametrize(
    ("key", "body", "seconds"),
    [
        ("mono.wav", song(3.0, mono=True), 3.0),
        ("8 kHz.wav", song(2.0, rate=8000), 2.0 * 44100 / 8000),
        ("48 kHz.wav", song(3.0, rate=48000), 3.0 * 44100 / 48000),
        ("24 bit.flac", song(3.0, form="FLAC", subtype="PCM_24"), 3.0),
        ("vorbis.ogg", song(3.0, form="OGG", subtype="VORBIS"), 3.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_audio_file_is_separated(stack: Stack, key: str, body: bytes, seconds: float) -> None:
    stack.put_song(key, body, **WAV)
    manifest = stack.wait_for_manifest(key)
    assert manifest["song"]["seconds"] == pytest.approx(seconds, abs=0.01)
    drums = read_stem(stack, manifest, "drums")
    assert drums.shape[1] == 2
    assert len(drums) == pytest.approx(seconds * 44100, abs=2)
    total = sum(read_stem(stack, manifest, entry["name"]) for entry in manifest["stems"])
    assert np.sqrt(np.mean(total**2)) > 0.01


def test_silence_stays_silence(stack: Stack) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((3 * 44100, 2)), 44100, format="WAV")
    stack.put_song("silence.wav", file.getvalue(), **WAV)
    manifest = stack.wait_for_manifest("silence.wav")
    for entry in manifest["stems"]:
        assert np.abs(read_stem(stack, manifest, entry["name"])).max() < 1e-3


@pytest.mark.parametrize(
    ("key", "body", "metadata", "kind"),
    [
        ("text.mp3", b"this is text, not a song\n" * 100, {}, "not-audio"),
        ("empty.wav", b"", {}, "empty"),
        ("truncated.wav", song(6.0)[: 44100 * 8], {}, "truncated"),
        ("truncated.flac", song(6.0, form="FLAC")[:200_000], {}, "truncated"),
        ("bad option.mp3", mp3(3.9), {"format": "mp4"}, "bad-option"),
        ("unknown model.mp3", mp3(3.91), {"model": "no_such_model"}, "bad-option"),
        ("unknown stem.mp3", mp3(3.92), {"stems": "drums,kazoo"}, "bad-option"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_song_that_cannot_be_separated_is_rejected_with_the_reason(
    stack: Stack, key: str, body: bytes, metadata: dict[str, str], kind: str
) -> None:
    stack.put_song(key, body, **metadata)
    failure = stack.wait_for_failure(key)
    assert failure["type"] == f"urn:micro-demucs:problem:{kind}"
    assert failure["title"]
    assert failure["song"]["key"] == key
    for value in metadata.values():
        assert value.split(",")[-1] in failure["detail"]
    assert not stack.manifest(key)
    assert not stack.logged("retry scheduled", subject=key)


def test_the_stems_equal_those_of_demucs(stack: Stack) -> None:
    """Through all components, within the precision of bf16.

    In f32 they are much closer: tests/integration/separate/engine/openvino_backend/test_engine.py.
    """
    import torch
    from demucs.apply import apply_model
    from demucs.hf import load_safetensors_model

    sound = samples(9.0)
    file = io.BytesIO()
    soundfile.write(file, sound, 44100, format="WAV", subtype="FLOAT")
    stack.put_song("as demucs.wav", file.getvalue(), **WAV, clip_mode="none")
    manifest = stack.wait_for_manifest("as demucs.wav")

    model = load_safetensors_model("models/htdemucs_tiny/htdemucs_tiny.safetensors").eval()
    audio = torch.from_numpy(sound.T.copy())
    mono = audio.mean(0)
    mean, deviation = mono.mean(), mono.std() + 1e-8
    estimate = apply_model(model, ((audio - mean) / deviation)[None], shifts=0, overlap=0.25)[0]
    expected = (estimate * deviation + mean).numpy()
    for name, reference in zip(model.sources, expected, strict=True):
        stem = read_stem(stack, manifest, name).T
        error = 10 * np.log10(np.sum((stem - reference) ** 2) / np.sum(sound**2))
        assert error < -40, f"{name}: {error:.1f} dB relative to the song"
