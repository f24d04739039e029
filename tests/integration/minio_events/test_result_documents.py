"""Result documents in a real bucket."""

from microdemucs.bucket import Bucket
from microdemucs.events import ObjectCreated
from minio_events.result_documents import list_result_documents, read_result_document
from testing.stack import Stack
from tests.integration.minio_events.sweep_stack import failure_of, manifest_of

SONG = ObjectCreated("songs", "dir/ü.mp3", 10, "e1")


def empty_stems(stack: Stack) -> Bucket:
    stems = Bucket(stack.store, "stems")
    stems.remove_prefix("")
    return stems


def test_only_manifests_and_failures_are_listed(stack: Stack) -> None:
    stems = empty_stems(stack)
    for name in ("drums.mp3", "manifest.json", "failure.json", "my-manifest.json"):
        stems.write(f"{SONG.key}/{name}", b"{}", "application/json")
    stems.write("manifest.json", b"{}", "application/json")
    documents = list(list_result_documents(stems))
    assert [document.key for document in documents] == [
        "dir/ü.mp3/failure.json",
        "dir/ü.mp3/manifest.json",
    ]
    assert documents[0].etag == stems.stat("dir/ü.mp3/failure.json").etag


def test_a_listed_document_can_be_read(stack: Stack) -> None:
    stems = empty_stems(stack)
    manifest, failure = manifest_of(SONG), failure_of(SONG, "not-audio")
    stems.write(f"{SONG.key}/manifest.json", manifest.write(), "application/json")
    stems.write(f"{SONG.key}/failure.json", failure.write(), "application/problem+json")
    documents = list_result_documents(stems)
    assert [read_result_document(stems, document) for document in documents] == [failure, manifest]


def test_a_document_that_is_gone_or_unreadable_is_nothing(stack: Stack) -> None:
    stems = empty_stems(stack)
    stems.write(f"{SONG.key}/manifest.json", b"no JSON", "application/json")
    stems.write(f"{SONG.key}/failure.json", b"{}", "application/json")
    documents = list(list_result_documents(stems))
    assert [read_result_document(stems, document) for document in documents] == [None, None]
    stems.remove_prefix("")
    assert [read_result_document(stems, document) for document in documents] == [None, None]
