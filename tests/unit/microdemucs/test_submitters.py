"""Who sent a song."""

import pytest

from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord
from microdemucs.submitters import submitter_of, token_id

ID = "0123456789abcdef"
HASH_KEY, FORM_KEY = f"{'a' * 64}.mp3", f"form/{'b' * 32}/a song.mp3"


@pytest.mark.parametrize(
    ("key", "submitter"),
    [("ann/x/a.mp3", "ann/"), ("ann/a.mp3", "ann/"), ("a.mp3", ""), ("/a.mp3", "/"), ("ü/a", "ü/")],
)
def test_the_sender_of_an_object_is_its_first_folder(key: str, submitter: str) -> None:
    assert submitter_of(key, {}) == submitter


@pytest.mark.parametrize("key", [HASH_KEY, FORM_KEY])
def test_the_sender_of_a_song_from_the_api_is_the_token(key: str) -> None:
    assert submitter_of(key, {"submitter": ID}) == ID


@pytest.mark.parametrize(("key", "submitter"), [(HASH_KEY, ""), (FORM_KEY, "form/")])
def test_without_a_token_it_is_the_folder(key: str, submitter: str) -> None:
    assert submitter_of(key, {}) == submitter


@pytest.mark.parametrize("key", ["ann/a.mp3", "a.mp3", "form/b/a.mp3"])
def test_other_objects_cannot_name_a_token(key: str) -> None:
    assert submitter_of(key, {"submitter": ID}) == submitter_of(key, {})


@pytest.mark.parametrize("value", ["", "ann/", ID.upper(), ID + "0", "ü" * 16, f"{ID}\n"])
def test_what_is_no_id_is_ignored(value: str) -> None:
    assert submitter_of(HASH_KEY, {"submitter": value}) == ""


def test_a_token_has_the_same_id_each_time_and_no_other_token_has_it() -> None:
    assert token_id("one", "secret") == token_id("one", "secret") != token_id("two", "secret")
    assert submitter_of(HASH_KEY, {"submitter": token_id("one", "secret")}) != ""


def test_an_id_cannot_be_computed_without_the_secret() -> None:
    assert token_id("one", "secret") != token_id("one", "")


def test_no_token_has_no_id() -> None:
    assert token_id("", "secret") == ""


def test_the_record_of_a_job_names_the_submitter() -> None:
    assert JobRecord.of(ObjectCreated("songs", "ann/a.mp3", 1, "e")).submitter == "ann/"


def test_a_record_of_an_older_version_names_none() -> None:
    old = b'{"id": "j", "bucket": "songs", "key": "ann/a.mp3", "etag": "e"}'
    assert JobRecord.read(old).submitter == ""
