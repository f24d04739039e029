"""Uploads of files that grow, to a real store."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from minio import Minio

from functions.separate.lease import Lease
from functions.separate.output.destination import PART_BYTES
from functions.separate.output.fence import IsDone, Send, SongFence, never
from functions.separate.output.multipart import Upload
from microdemucs.bucket import Bucket
from microdemucs.bus import LEASES, Bus
from microdemucs.jobs import song_digest
from microdemucs.problems import RetryLater


def is_open(root: Minio, key: str) -> bool:
    return bool(root._list_multipart_uploads("stems", prefix=key).uploads)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES - 1, 2 * PART_BYTES, 12_345_678])
def test_an_object_of_any_size_is_complete(
    stems: Bucket, root: Minio, size: int, tmp_path: Path
) -> None:
    key = f"upload-{size}"
    data = np.random.default_rng(size).bytes(size)
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        upload = Upload(stems, key, "audio/x-test", file)
        for start in range(0, size, 3_000_000):
            file.write(data[start : start + 3_000_000])
            upload.grown(file.tell())
        file.seek(0)
        file.write(b"HEAD"[:size])  # as FLAC's encoder does at the end
        assert upload.finish() == size
    response = root.get_object("stems", key)
    assert response.read() == b"HEAD"[:size] + data[4:]
    assert response.headers["Content-Type"] == "audio/x-test"
    assert not is_open(root, key)


def test_an_aborted_upload_leaves_nothing(stems: Bucket, root: Minio, tmp_path: Path) -> None:
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        upload = Upload(stems, "aborted", "audio/x-test", file)
        file.write(bytes(3 * PART_BYTES))
        upload.grown(file.tell())
        assert is_open(root, "aborted")
        upload.abort()
    assert not is_open(root, "aborted")
    assert stems.read("aborted") is None


def test_an_aborted_upload_may_begin_again(stems: Bucket, tmp_path: Path) -> None:
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        upload = Upload(stems, "again", "audio/x-test", file)
        file.write(bytes(3 * PART_BYTES))
        upload.grown(file.tell())
        upload.abort()
        file.truncate(0)
        file.seek(0)
        file.write(b"short")
        assert upload.finish() == 5
    assert stems.read("again") == b"short"


@pytest.mark.parametrize("size", [5, 3 * PART_BYTES], ids=["put at once", "in parts"])
def test_an_upload_does_not_replace_what_was_written_after_its_lease_was_lost(
    stems: Bucket, bus: Bus, size: int, tmp_path: Path
) -> None:
    song_key = f"fenced-{size}"
    key = f"{song_key}/drums.wav"
    lease = Lease(bus, song_key, "we")
    lease.take()
    fence = ExpiringFence(lease, stems, song_key)
    fence.expire = lambda: bus.delete(LEASES, song_digest(song_key))
    with (tmp_path / "growing").open("w+b", buffering=0) as file:
        upload = Upload(stems, key, "audio/wav", file, fence)
        file.write(bytes(size))
        upload.grown(size)
        stems.write(key, b"theirs", "audio/wav")
        with pytest.raises(RetryLater, match="Another process"):
            upload.finish()
        upload.abort()
    assert stems.read(key) == b"theirs"


class ExpiringFence(SongFence):
    """Loses its lease after the lease has been looked at, and before the object is made."""

    expire: Callable[[], None]

    def commit(self, key: str, send: Send, /, is_done: IsDone = never) -> bool:
        def send_late(condition: Mapping[str, str]) -> str:
            self.expire()
            return send(condition)

        return super().commit(key, send_late, is_done)
