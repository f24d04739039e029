from urllib.parse import urlsplit

import pytest
from minio.error import S3Error

from microdemucs import store
from microdemucs.problems import RetryLater
from microdemucs.settings import StoreSettings
from microdemucs.store import ObjectChanged, map_store_errors


def test_a_public_client_presigns_with_the_public_url() -> None:
    settings = StoreSettings(
        "http://127.0.0.1:9000", "https://songs.example", access_key="a", secret_key="b" * 8
    )
    url = store.connect(settings, public=True).presigned_get_object("stems", "a")
    assert urlsplit(url)[:2] == ("https", "songs.example")


def s3_error(code: str) -> S3Error:
    return S3Error(None, code, "message", "resource", "request", "host")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "PreconditionFailed"])
def test_a_missing_or_replaced_object(code: str) -> None:
    with pytest.raises(ObjectChanged, match=code), map_store_errors():
        raise s3_error(code)


@pytest.mark.parametrize("error", [s3_error("SlowDown"), ConnectionResetError()], ids=str)
def test_every_other_error_is_temporary(error: Exception) -> None:
    with pytest.raises(RetryLater) as raised, map_store_errors():
        raise error
    assert raised.value.kind == "store-away"
