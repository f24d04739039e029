"""What the manifest and the job record say of a song: loudness, tags and cover; and its peaks."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from minio import Minio
from msgspec import UNSET

from functions.separate.context import Context
from functions.separate.job_runner import run_job
from microdemucs.manifest import CoverEntry
from microdemucs.peaks import Peaks
from testing.stack import Stack
from tests.integration.separate import sounds
from tests.integration.separate.jobs import PutSong, ReadManifest, ReadObjects, ReadRecord, at_phase
from tests.integration.separate.range_messages import RangeMessages

JPEG = b"\xff\xd8\xff\xe0 the cover of a song"
TEXTS = {
    b"TIT2": "Blue",
    b"TPE1": "Ann",
    b"TALB": "Hues",
    b"TYER": "1999",
    b"TBPM": "128",
    b"TKEY": "F#m",
}
TAGS = {
    "title": "Blue",
    "artist": "Ann",
    "album": "Hues",
    "date": "1999",
    "bpm": "128",
    "key": "F#m",
}


def sine_at(decibels: float, seconds: float = 3) -> sounds.Samples:
    t = np.arange(round(seconds * 44_100)) / 44_100
    sine = 10 ** (decibels / 20) * np.sin(2 * np.pi * 997 * t)
    return np.stack([sine, sine], axis=1).astype(np.float32)


def tagged_song(cover: bytes = JPEG, seed: int = 0) -> bytes:
    """Return an MP3 with an ID3v2.3 tag: the texts and a cover."""
    frames = b"".join(
        name + struct.pack(">I", len(text) + 1) + b"\0\0\0" + text.encode()
        for name, text in TEXTS.items()
    )
    picture = b"\0image/jpeg\0\x03\0" + cover
    frames += b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = bytes((len(frames) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    mp3 = sounds.encoded(sounds.music(2, seed=seed), 44_100, "mp3", "libmp3lame")
    return b"ID3\x03\0\0" + size + frames + mp3


def test_the_loudness_of_a_sine_is_known(
    put: PutSong, context: Context, manifest: ReadManifest, record: ReadRecord
) -> None:
    job = put(sounds.file(sine_at(-23), subtype="FLOAT"))
    run_job(job, context)
    assert manifest(job).song.loudness == pytest.approx(-23.0, abs=0.1)
    assert record(job).song["loudness"] == manifest(job).song.loudness


def test_silence_has_no_loudness(
    put: PutSong, context: Context, manifest: ReadManifest, record: ReadRecord
) -> None:
    job = put(sounds.file(np.zeros((44_100, 2), np.float32)))
    run_job(job, context)
    assert manifest(job).song.loudness is UNSET
    assert "loudness" not in record(job).song


def test_the_tags_and_the_cover_of_a_song(
    put: PutSong, context: Context, manifest: ReadManifest, record: ReadRecord, root: Minio
) -> None:
    job = put(tagged_song(seed=1), "song.mp3")
    run_job(job, context)
    song = manifest(job).song
    assert song.tags == record(job).song["tags"] == TAGS
    key = f"{job.song.key}/cover.jpg"
    assert song.cover == CoverEntry(key, len(JPEG), "image/jpeg")
    assert record(job).song["cover"] == "cover.jpg"
    assert root.get_object("stems", key).read() == JPEG


def test_the_tags_are_known_while_the_song_is_separated(
    put: PutSong, context: Context, record: ReadRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = put(tagged_song(seed=2), "song.mp3")
    seen = []
    at_phase(monkeypatch, "separating", lambda progress: seen.append(progress.record.song["tags"]))
    run_job(job, context)
    assert seen == [TAGS]


def test_a_song_without_a_cover_has_none(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, objects: ReadObjects
) -> None:
    job = put(song)
    run_job(job, context)
    assert manifest(job).song.cover is UNSET
    assert not any(name.startswith("cover") for name in objects(job))


def test_the_cover_of_an_earlier_version_of_the_song_is_removed(
    put: PutSong, song: bytes, context: Context, objects: ReadObjects
) -> None:
    job = put(tagged_song(seed=3))
    run_job(job, context)
    assert "cover.jpg" in objects(job)
    run_job(put(song), context)
    assert "cover.jpg" not in objects(job)


def test_facts_and_peaks_are_copied_with_reused_stems(
    put: PutSong, context: Context, manifest: ReadManifest, objects: ReadObjects
) -> None:
    first, second = put(tagged_song(seed=4), "first.mp3"), put(tagged_song(seed=4), "second.mp3")
    run_job(first, context)
    run_job(second, context)
    original, copy = manifest(first), manifest(second)
    assert copy.reused_from == first.song.key
    assert (copy.song.loudness, copy.song.tags) == (original.song.loudness, original.song.tags)
    assert {name.rpartition("/")[2] for name in copy.objects} == {
        name.rpartition("/")[2] for name in original.objects
    }
    assert all(name.startswith(f"{second.song.key}/") for name in copy.objects)
    for name in ("peaks.bin", "cover.jpg"):
        assert objects(second)[name] == objects(first)[name]


def test_a_divided_song_has_the_loudness_of_the_undivided_one(
    put: PutSong, context: Context, manifest: ReadManifest, stack: Stack
) -> None:
    messages = RangeMessages(stack)
    data = sounds.file(sounds.music(13, seed=11))
    whole, divided = put(data, "whole.wav"), put(data, "divided.wav", shifts="1")
    run_job(whole, context)
    run_job(divided, replace(context, range_seconds=6))
    messages.run_all(replace(context, range_seconds=6))
    assert manifest(divided).song.loudness == manifest(whole).song.loudness
    assert manifest(whole).song.loudness is not UNSET


def test_the_peaks_are_those_of_the_stems_in_the_order_of_the_manifest(
    put: PutSong, song: bytes, context: Context, manifest: ReadManifest, root: Minio
) -> None:
    job = put(song, format="wav", bits="32")
    run_job(job, context)
    entry = manifest(job).peaks
    assert entry is not UNSET
    peaks = Peaks.read(root.get_object("stems", entry.key).read())
    assert peaks.header.stems == [stem.name for stem in manifest(job).stems]
    values = np.frombuffer(peaks.columns, np.int8).reshape(entry.columns, -1, 3)
    for number, stem in enumerate(manifest(job).stems):
        samples = sounds.read(root.get_object("stems", stem.key).read())
        extremes = [samples.min(), samples.max()]
        found = [values[:, number, 0].min(), values[:, number, 1].max()]
        assert found == [round(127 * float(extreme)) for extreme in extremes]


def test_missing_peaks_are_made_again(
    put: PutSong, song: bytes, context: Context, root: Minio, objects: ReadObjects
) -> None:
    job = put(song)
    run_job(job, context)
    before = objects(job)["peaks.bin"]
    root.remove_object("stems", f"{job.song.key}/peaks.bin")
    run_job(job, context)
    assert objects(job)["peaks.bin"] == before
