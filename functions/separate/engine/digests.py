"""SHA-256 of a model's files, remembered: a new process need not read 84 MB to know them again.

As git's index does, a file with the same path, size and time of change is taken to be the same.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def digest(files: Iterable[Path], cache: Path | None) -> str:
    """SHA-256 in hex over the files' own digests, in their order; "" for no files.

    What was computed is kept in the folder `cache`, if that can be written to. Raises OSError.
    """
    each = [_remembered(file.resolve(), cache) if cache else _read(file) for file in files]
    return hashlib.sha256(b"".join(each)).hexdigest() if each else ""


def _remembered(file: Path, cache: Path) -> bytes:
    now = file.stat()
    state = [str(file), now.st_size, now.st_mtime_ns]
    note = cache / "digests" / hashlib.sha256(str(file).encode()).hexdigest()[:32]
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(note.read_text())
        if said["state"] == state:
            return bytes.fromhex(said["sha256"])
    found = _read(file)
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        coming = note.with_suffix(f".{os.getpid()}")
        coming.write_text(json.dumps({"state": state, "sha256": found.hex()}))
        coming.replace(note)
    return found


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
