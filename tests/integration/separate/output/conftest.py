"""Stems of a song under the test's own name, and the objects beside it."""

from collections.abc import Callable

import pytest
from minio import Minio

from functions.separate.job import Job
from functions.separate.output.stem_store import StemStore
from microdemucs.bucket import Bucket
from microdemucs.events import ObjectCreated

ReadBytes = Callable[[], dict[str, bytes]]
"""Returns the objects beside the song, name → bytes."""


@pytest.fixture
def song_key(request: pytest.FixtureRequest) -> str:
    """The key of a song that no other test has."""
    return str(request.node.name)


@pytest.fixture
def stem_store(stems: Bucket, song_key: str) -> StemStore:
    song = ObjectCreated("songs", song_key, 1, "etag", time="2026-11-23T00:00:00Z")
    return StemStore(stems, Job("0" * 32, song, "", ""))


@pytest.fixture
def stored(root: Minio, song_key: str) -> ReadBytes:
    """Returns the objects beside the song, name → bytes."""

    def stored() -> dict[str, bytes]:
        prefix = f"{song_key}/"
        found = root.list_objects("stems", prefix, recursive=True)
        keys = [str(entry.object_name) for entry in found]
        return {key.removeprefix(prefix): root.get_object("stems", key).read() for key in keys}

    return stored


@pytest.fixture
def open_uploads(root: Minio, song_key: str) -> Callable[[str], bool]:
    """Returns whether a multipart upload of this file is open."""

    def is_open(file_name: str) -> bool:
        # MinIO lists the uploads of one key only
        found = root._list_multipart_uploads("stems", prefix=f"{song_key}/{file_name}")
        return bool(found.uploads)

    return is_open
