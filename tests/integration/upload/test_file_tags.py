"""The tags of mixes and stem.mp4 files from a real store, read by FFmpeg."""

import io
import uuid

import av
import pytest
from av.stream import Disposition

from microdemucs.covers import MAX_COVER_BYTES
from microdemucs.jobs import JobRecord
from testing.encoded_stems import encode, make_samples
from testing.job_writer import STEMS, JobWriter, new_job
from testing.waiting import wait_until
from testing.web_client import WebClient

TAGS = {
    "title": "Zweites Stück",
    "artist": "Björk & 久石譲",
    "album": "Ålbum",
    "track": "3/12",
    "date": "2020-03-01",
}
COVER = b"\xff\xd8\xff" + bytes(MAX_COVER_BYTES - 3)
FILES = {f"{name}.flac": encode(make_samples(1, 20_000), format="flac") for name in STEMS}
PRODUCTS = ["mix.mp3", "mix.flac", "stem.mp4"]


def finish(
    client: WebClient, job_writer: JobWriter, tags: dict[str, str] | None, cover: bytes
) -> JobRecord:
    """Return a job that is done, whose song is "Lied.mp3" and has these tags."""
    key = f"form/{uuid.uuid4().hex}/Lied.mp3"
    record = job_writer.finish(new_job(key), FILES, tags=tags, cover=cover)
    wait_until(lambda: client.head(f"/apiv1/jobs/{record.id}/mix.mp3").status_code == 200)
    return record


def read(client: WebClient, job: JobRecord, product: str) -> tuple[dict[str, str], list[bytes]]:
    """Return the tags and the pictures of the file."""
    response = client.get(f"/apiv1/jobs/{job.id}/{product}")
    assert response.status_code == 200, response.data
    with av.open(io.BytesIO(response.data), "r") as container:
        tags = {name.lower(): text for name, text in container.metadata.items()}
        pictures = [
            bytes(next(container.demux(stream)))
            for stream in container.streams.video
            if stream.disposition & Disposition.attached_pic
        ]
    return {name: tags[name] for name in TAGS if name in tags}, pictures


@pytest.mark.parametrize(
    ("product", "title"),
    [
        ("mix.mp3", "Zweites Stück (mix)"),
        ("mix.flac?vocals=0", "Zweites Stück (without vocals)"),
        ("mix.mp3?drums=0&bass=0&other=0", "Zweites Stück (vocals)"),
        ("stem.mp4", "Zweites Stück"),
    ],
)
def test_a_file_has_the_songs_tags_and_says_what_it_is(
    client: WebClient, job_writer: JobWriter, product: str, title: str
) -> None:
    done = finish(client, job_writer, TAGS, COVER)
    assert read(client, done, product) == (TAGS | {"title": title}, [COVER])


@pytest.mark.parametrize("product", PRODUCTS)
def test_without_tags_the_title_is_the_name_of_the_song(
    client: WebClient, job_writer: JobWriter, product: str
) -> None:
    done = finish(client, job_writer, None, b"")
    title = "Lied" if product == "stem.mp4" else "Lied (mix)"
    assert read(client, done, product) == ({"title": title}, [])


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("data", [None, b"no picture", COVER + b"x"], ids=["gone", "bad", "large"])
def test_a_cover_that_cannot_be_used_is_left_out(
    client: WebClient, job_writer: JobWriter, product: str, data: bytes | None
) -> None:
    done = finish(client, job_writer, TAGS, COVER)
    key = f"{done.key}/cover.jpg"
    job_writer.stems.remove(key) if data is None else job_writer.stems.write(key, data, "x/y")
    tags, pictures = read(client, done, product)
    assert (tags["artist"], pictures) == (TAGS["artist"], [])
