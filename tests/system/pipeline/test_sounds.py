"""What a song may be, and what is told of what is none."""

import io

import numpy as np
import pytest
import soundfile

from testing.songs import mp3, samples, song


def stem(stack, manifest, name):
    [key] = [s["key"] for s in manifest["stems"] if s["name"] == name]
    return soundfile.read(io.BytesIO(stack.store.get_object("stems", key).read()))[0]


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
def test_is_separated(stack, key, body, seconds):
    stack.put_song(key, body, **WAV)
    manifest = stack.wait_for_manifest(key)
    assert manifest["song"]["seconds"] == pytest.approx(seconds, abs=0.01)
    drums = stem(stack, manifest, "drums")
    assert drums.shape[1] == 2
    assert len(drums) == pytest.approx(seconds * 44100, abs=2)
    total = sum(stem(stack, manifest, s["name"]) for s in manifest["stems"])
    assert np.sqrt(np.mean(total**2)) > 0.01


def test_silence_stays_silence(stack):
    file = io.BytesIO()
    soundfile.write(file, np.zeros((3 * 44100, 2)), 44100, format="WAV")
    stack.put_song("silence.wav", file.getvalue(), **WAV)
    manifest = stack.wait_for_manifest("silence.wav")
    for one in manifest["stems"]:
        assert np.abs(stem(stack, manifest, one["name"])).max() < 1e-3


@pytest.mark.parametrize(
    ("key", "body", "metadata", "kind"),
    [
        ("text.mp3", b"this is a letter, not a song\n" * 100, {}, "not-audio"),
        ("empty.wav", b"", {}, "empty"),
        ("truncated.wav", song(6.0)[: 44100 * 8], {}, "truncated"),
        ("truncated.flac", song(6.0, form="FLAC")[:200_000], {}, "truncated"),
        ("bad option.mp3", mp3(3.9), {"format": "mp4"}, "bad-option"),
        ("unknown model.mp3", mp3(3.91), {"model": "no_such_model"}, "bad-option"),
        ("unknown stem.mp3", mp3(3.92), {"stems": "drums,kazoo"}, "bad-option"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_is_refused_once_and_says_why(stack, key, body, metadata, kind):
    stack.put_song(key, body, **metadata)
    failure = stack.wait_for_failure(key)
    assert failure["type"] == f"urn:micro-demucs:problem:{kind}"
    assert failure["title"]
    assert failure["song"]["key"] == key
    for value in metadata.values():
        assert value.split(",")[-1] in failure["detail"]
    assert not stack.manifest(key)
    assert not stack.logged("retry scheduled", subject=key)


def test_the_stems_are_those_of_demucs(stack):
    """Through every part, the numbers are those of demucs.api's Separator, as bf16 has them.

    In f32 they are closer by far: tests/integration/separate/engine/test_engines.py.
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
    wav = torch.from_numpy(sound.T.copy())
    reference = wav.mean(0)
    mean, deviation = reference.mean(), reference.std() + 1e-8
    expected = apply_model(model, ((wav - mean) / deviation)[None], shifts=0, overlap=0.25)[0]
    expected = (expected * deviation + mean).numpy()
    for name, wanted in zip(model.sources, expected, strict=True):
        got = stem(stack, manifest, name).T
        error = 10 * np.log10(np.sum((got - wanted) ** 2) / np.sum(sound**2))
        assert error < -40, f"{name}: {error:.1f} dB relative to the song"
