import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3

from local.ports import free_port
from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.problems import RetryLater
from microdemucs.settings import StoreSettings
from microdemucs.store import ObjectChanged


@pytest.fixture
def bucket(separate_user: dict[str, str], request: pytest.FixtureRequest) -> Bucket:
    """The output bucket, as the separate function may use it."""
    settings = StoreSettings(
        separate_user["STORE_URL"],
        access_key=separate_user["STORE_ACCESS_KEY"],
        secret_key=separate_user["STORE_SECRET_KEY"],
    )
    return Bucket(store.connect(settings), "stems")


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}/"


def test_a_small_object_is_read_as_it_was_written(bucket: Bucket, prefix: str) -> None:
    bucket.write(f"{prefix}a ü.txt", b"text", "text/plain")
    assert bucket.read(f"{prefix}a ü.txt") == b"text"
    assert bucket.stat(f"{prefix}a ü.txt").content_type == "text/plain"


def test_an_object_that_does_not_exist_is_read_as_none(bucket: Bucket, prefix: str) -> None:
    assert bucket.read(f"{prefix}none") is None
    with pytest.raises(ObjectChanged):
        bucket.stat(f"{prefix}none")


def test_metadata_is_kept(bucket: Bucket, prefix: str) -> None:
    bucket.put(f"{prefix}a", io.BytesIO(b"12"), 2, "audio/flac", {"format": "wav"})
    assert (bucket.stat(f"{prefix}a").metadata or {})["x-amz-meta-format"] == "wav"


def test_a_part_of_an_object_is_downloaded_in_chunks(bucket: Bucket, prefix: str) -> None:
    bucket.write(f"{prefix}a", b"0123456789", "text/plain")
    with bucket.download(f"{prefix}a", offset=2, size=5) as download:
        assert download.size == 5
        assert list(download.chunks(2)) == [b"23", b"45", b"6"]


def test_a_download_is_of_the_object_that_was_asked_for(bucket: Bucket, prefix: str) -> None:
    written = bucket.write(f"{prefix}a", b"first", "text/plain")
    bucket.write(f"{prefix}a", b"second", "text/plain")
    with pytest.raises(ObjectChanged), bucket.download(f"{prefix}a", etag=written.etag or ""):
        pass


def test_a_file_is_downloaded(bucket: Bucket, prefix: str, tmp_path: Path) -> None:
    bucket.write(f"{prefix}a", b"bytes", "text/plain")
    bucket.download_file(f"{prefix}a", str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"bytes"


def test_an_object_is_copied(bucket: Bucket, prefix: str) -> None:
    bucket.write(f"{prefix}a", b"bytes", "text/plain")
    bucket.copy(f"{prefix}a", f"{prefix}b")
    assert bucket.read(f"{prefix}b") == b"bytes"


def test_a_listing_goes_into_folders_unless_asked_not_to(bucket: Bucket, prefix: str) -> None:
    for name in ("a", "folder/b"):
        bucket.write(prefix + name, b"", "text/plain")
    deep = [found.object_name for found in bucket.list(prefix)]
    assert deep == [f"{prefix}a", f"{prefix}folder/b"]
    flat = {found.object_name for found in bucket.list(prefix, recursive=False)}
    assert flat == {f"{prefix}a", f"{prefix}folder/"}


def test_a_prefix_is_removed_and_nothing_else(bucket: Bucket, prefix: str) -> None:
    for name in ("x/a", "x/b", "y"):
        bucket.write(prefix + name, b"", "text/plain")
    bucket.remove_prefix(f"{prefix}x/")
    bucket.remove_prefix(f"{prefix}x/")
    assert [found.object_name for found in bucket.list(prefix)] == [f"{prefix}y"]
    bucket.remove(f"{prefix}y")
    assert bucket.list(prefix) == []


def test_a_presigned_url_needs_no_credentials(bucket: Bucket, prefix: str) -> None:
    bucket.write(f"{prefix}a", b"bytes", "text/plain")
    headers = {"response-content-disposition": "attachment"}
    url = bucket.presigned_url(f"{prefix}a", timedelta(minutes=5), headers)
    response = urllib3.request("GET", url)
    assert (response.status, response.data) == (200, b"bytes")
    assert response.headers["Content-Disposition"] == "attachment"


def test_a_presigned_form_needs_no_credentials_and_limits_what_is_posted(
    bucket: Bucket, prefix: str, separate_user: dict[str, str]
) -> None:
    expires = datetime.now(UTC) + timedelta(minutes=5)
    fields = {"key": f"{prefix}a"}
    signature = bucket.presigned_post(fields, {"Content-Type": "audio/"}, 3, expires)
    url = f"{separate_user['STORE_URL']}/{bucket.name}"

    def post(data: bytes, **changes: str) -> int:
        form = fields | {"Content-Type": "audio/wav"} | signature | changes
        return urllib3.request("POST", url, fields=form | {"file": ("a", data)}).status

    assert post(b"abcd") == 400
    assert post(b"") == 400
    assert post(b"abc", key=f"{prefix}b") == 403
    assert post(b"abc", **{"Content-Type": "text/html"}) == 403
    assert bucket.list(prefix) == []
    assert post(b"abc") == 204
    assert bucket.read(f"{prefix}a") == b"abc"


def test_what_the_user_may_not_do_is_a_temporary_error(bucket: Bucket) -> None:
    with pytest.raises(RetryLater, match="AccessDenied"):
        Bucket(bucket.client, "songs").write("x.mp3", b"", "audio/mpeg")


def test_a_store_that_is_away_is_a_temporary_error() -> None:
    settings = StoreSettings(f"http://127.0.0.1:{free_port()}", access_key="a", secret_key="b" * 8)
    with pytest.raises(RetryLater, match="cannot be reached"):
        Bucket(store.connect(settings), "stems").stat("a")


def test_of_a_huge_object_only_its_beginning_is_read(bucket: Bucket, prefix: str) -> None:
    bucket.write(f"{prefix}huge", bytes(20_000_000), "text/plain")
    assert 1000 <= len(bucket.read(f"{prefix}huge", 1000) or b"") < 1_000_000


def test_a_new_object_is_put_only_if_there_is_none(bucket: Bucket, prefix: str) -> None:
    condition = {"If-None-Match": "*"}
    bucket.put_if(f"{prefix}a", b"first", "audio/flac", condition)
    with pytest.raises(ObjectChanged):
        bucket.put_if(f"{prefix}a", b"second", "audio/flac", condition)
    assert bucket.read(f"{prefix}a") == b"first"
    assert bucket.stat(f"{prefix}a").content_type == "audio/flac"


def test_an_object_is_replaced_only_if_it_has_not_changed(bucket: Bucket, prefix: str) -> None:
    first = bucket.write(f"{prefix}a", b"first", "text/plain")
    condition = {"If-Match": f'"{first.etag}"'}
    bucket.put_if(f"{prefix}a", b"second", "text/plain", condition)
    with pytest.raises(ObjectChanged):
        bucket.put_if(f"{prefix}a", b"third", "text/plain", condition)
    assert bucket.read(f"{prefix}a") == b"second"
