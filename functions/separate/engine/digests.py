"""SHA-256 digests of model files, cached so that a new process need not read 84 MB again.

A file is taken to be unchanged if its path, size and modification time are, as in git's index.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def digest(files: Iterable[Path], cache: Path | None) -> str:
    """Return the SHA-256, in hex, of the files' digests in their order; "" for no files.

    The folder `cache` keeps the digests if it is writable. Raises OSError if a file cannot be read.
    """
    digests = [_cached(file.resolve(), cache) if cache else _compute(file) for file in files]
    return hashlib.sha256(b"".join(digests)).hexdigest() if digests else ""


def _cached(file: Path, cache: Path) -> bytes:
    status = file.stat()
    state = [str(file), status.st_size, status.st_mtime_ns]
    entry = cache / "digests" / hashlib.sha256(str(file).encode()).hexdigest()[:32]
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(entry.read_text())
        if document["state"] == state:
            return bytes.fromhex(document["sha256"])
    computed = _compute(file)
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = entry.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"state": state, "sha256": computed.hex()}))
        temporary.replace(entry)
    return computed


def _compute(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
