"""Digests of model files are cached until a file changes."""

import hashlib
import os
from pathlib import Path

import pytest

from functions.separate.engine.digests import digest


def expected(*contents: bytes) -> str:
    digests = [hashlib.sha256(content).digest() for content in contents]
    return hashlib.sha256(b"".join(digests)).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "weights"
    file.write_bytes(b"old")
    return file


def test_the_digest_depends_on_the_contents_and_their_order(tmp_path: Path, cache: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    for _ in range(2):  # computed, then from the cache
        assert digest([first, second], cache) == expected(b"1", b"2")
    assert digest([second, first], cache) == expected(b"2", b"1")


def test_the_digest_is_the_same_without_a_cache(file: Path, cache: Path) -> None:
    assert digest([file], None) == digest([file], cache)


def test_no_files_have_an_empty_digest(cache: Path) -> None:
    assert digest([], cache) == ""


def test_a_file_with_the_same_size_and_time_is_not_read_again(file: Path, cache: Path) -> None:
    digest([file], cache)
    before = file.stat()
    file.write_bytes(b"new")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest([file], cache) == expected(b"old")


def test_a_file_with_another_time_is_read_again(file: Path, cache: Path) -> None:
    digest([file], cache)
    before = file.stat()
    file.write_bytes(b"new")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert digest([file], cache) == expected(b"new")


def test_a_file_of_another_size_is_read_again(file: Path, cache: Path) -> None:
    digest([file], cache)
    before = file.stat()
    file.write_bytes(b"longer")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest([file], cache) == expected(b"longer")


def test_a_cache_that_cannot_be_written_does_no_harm(file: Path, cache: Path) -> None:
    cache.write_text("a file, not a folder")
    assert digest([file], cache) == expected(b"old")


def test_a_broken_cache_entry_is_replaced(file: Path, cache: Path) -> None:
    digest([file], cache)
    [entry] = (cache / "digests").iterdir()
    entry.write_text("{broken")
    assert digest([file], cache) == expected(b"old")
    assert entry.read_text() != "{broken"


def test_a_missing_file_is_an_error(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest([tmp_path / "missing"], cache)
