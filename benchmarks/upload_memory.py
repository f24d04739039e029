"""Measure the memory of the upload function for a song of 200 MB inside JSON.

    python -m benchmarks.upload_memory [megabytes]

It posts to the real function, as a process, with a real store and bus. It prints the process's
resident memory before, at its peak, and after; then the same for a body that is refused by its
declared length, and for one without a length that turns out to be too long.
"""

import http.client
import json
import os
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from testing.stack import running_stack

MB = 1_000_000
_BLOCK = 3 * 2**18  # bytes; a multiple of 3, so that each block can be encoded alone


def main() -> None:
    """Post the three bodies, and print the memory."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else 200) * MB
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        output = Path(folder) / "function"
        with stack.serve("upload", output, MAX_SONG_BYTES=str(size)) as address:
            worker = _worker()
            report(
                worker,
                f"{size // MB} MB song",
                lambda: post(address, song(size), body_length(size)),
            )
            report(
                worker,
                "413, by its length",
                lambda: post(address, song(2 * size), body_length(2 * size)),
            )
            report(worker, "413, in chunks", lambda: post(address, song(2 * size), None))


def report(worker: psutil.Process, label: str, action: Callable[[], str]) -> None:
    """Print the result and time of `action`, and the memory of `worker` meanwhile."""
    before = worker.memory_info().rss
    peak, ended = [before], threading.Event()

    def sample() -> None:
        while not ended.wait(0.01):
            peak[0] = max(peak[0], worker.memory_info().rss)

    sampling = threading.Thread(target=sample)
    sampling.start()
    start = time.perf_counter()
    result = action()
    seconds = time.perf_counter() - start
    ended.set()
    sampling.join()
    print(
        f"{label:24} {seconds:6.2f} s   before {before / MB:6.1f} MB   peak {peak[0] / MB:6.1f} MB"
        f"   after {worker.memory_info().rss / MB:6.1f} MB   {result}",
        flush=True,
    )


def song(size: int) -> Iterator[bytes]:
    """Yield the JSON body of a song of `size` random bytes, which cannot be compressed."""
    block = os.urandom(_BLOCK)
    yield b'{"mp3": "'
    for start in range(0, size, _BLOCK):
        yield b64encode(block[: min(_BLOCK, size - start)])
    yield b'"}'


def body_length(size: int) -> int:
    """Return the length of that body."""
    return len(b'{"mp3": ""}') + -(-size // 3) * 4


def post(address: str, body: Iterator[bytes], length: int | None) -> str:
    """POST `body`, in chunks if it has no `length`; return the status and reason."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
    headers = {"Content-Type": "application/json"}
    if length is not None:
        headers["Content-Length"] = str(length)
    try:
        connection.request("POST", "/apiv1/separate", body, headers, encode_chunked=length is None)
        response = connection.getresponse()
        document = json.loads(response.read())
    finally:
        connection.close()
    return f"{response.status} {document.get('reason') or document['type']}"


def _worker() -> psutil.Process:
    """Return the gunicorn worker of the function, which is a child of our child."""
    [function] = [
        child for child in psutil.Process().children() if "microdemucs.service" in child.cmdline()
    ]
    [worker] = function.children()
    return worker


if __name__ == "__main__":
    main()
