"""Songs of the tests of the page, and what the bridge does when one has arrived."""

import io
import math
import struct
import wave
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import FilePayload

from microdemucs.bucket import etag_of
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord
from testing.job_writer import STEMS, JobWriter
from testing.waiting import wait_until

SECONDS, RATE = 4, 8000


def tone(hertz: float) -> bytes:
    """A WAV file with a tone of SECONDS."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        samples = (9000 * math.sin(2 * math.pi * hertz * n / RATE) for n in range(SECONDS * RATE))
        file.writeframes(b"".join(struct.pack("<h", int(value)) for value in samples))
    return buffer.getvalue()


TONES = {f"{name}.wav": tone(110 * n) for n, name in enumerate(STEMS, start=1)}


def files(names: Sequence[str]) -> list[FilePayload]:
    """Files of these names, to be chosen together."""
    return [{"name": name, "mimeType": "audio/mpeg", "buffer": b"a song"} for name in names]


def uploaded_key(job_writer: JobWriter, name: str) -> str:
    """The key of the newest song of this name that the page has uploaded, or ""."""
    stored: list[Any] = [
        item
        for item in job_writer.songs.list("form/")
        if str(item.object_name).endswith(f"/{name}")
    ]
    stored.sort(key=lambda item: item.last_modified)
    return str(stored[-1].object_name) if stored else ""


def uploaded_job(job_writer: JobWriter, name: str) -> JobRecord:
    """Wait for the song of this name, and return its job, which the bridge would record."""
    key = wait_until(lambda: uploaded_key(job_writer, name))
    song = job_writer.songs.stat(key)
    options = {
        name.lower().removeprefix("x-amz-meta-"): value
        for name, value in (song.metadata or {}).items()
        if name.lower().startswith("x-amz-meta-")
    }
    size, etag = song.size or 0, etag_of(song)
    return JobRecord.of(ObjectCreated("songs", key, size, etag, metadata=options))


def wait_for_upload(job_writer: JobWriter, name: str) -> JobRecord:
    """Wait for the song of this name, then record its job as the bridge does."""
    return job_writer.write_record(uploaded_job(job_writer, name))
