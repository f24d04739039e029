"""Digests of weights are remembered for as long as the files stay as they are."""

import hashlib
import os
from pathlib import Path

from functions.separate.engine.digests import digest


def whole(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in contents)).hexdigest()


def test_it_is_that_of_the_files_in_their_order(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    for _ in range(2):  # computed, then remembered
        assert digest([one, two], tmp_path / "cache") == whole(b"1", b"2")
    assert digest([two, one], tmp_path / "cache") == whole(b"2", b"1")
    assert digest([one, two], None) == whole(b"1", b"2")
    assert digest([], tmp_path / "cache") == ""


def test_a_file_is_not_read_again_until_it_changes(tmp_path: Path):
    file, cache = tmp_path / "weights", tmp_path / "cache"
    file.write_bytes(b"old")
    assert digest([file], cache) == whole(b"old")
    before = file.stat()
    file.write_bytes(b"new")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had happened
    assert digest([file], cache) == whole(b"old")
    os.utime(file)
    assert digest([file], cache) == whole(b"new")
    file.write_bytes(b"longer")
    assert digest([file], cache) == whole(b"longer")


def test_a_cache_that_cannot_be_used_costs_time_only(tmp_path: Path):
    file, cache = tmp_path / "weights", tmp_path / "cache"
    file.write_bytes(b"1")
    cache.write_text("no folder")
    assert digest([file], cache) == whole(b"1")
    cache.unlink()
    assert digest([file], cache) == whole(b"1")
    [note] = (cache / "digests").iterdir()
    note.write_text("{broken")
    assert digest([file], cache) == whole(b"1")
