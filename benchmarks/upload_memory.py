"""How much memory the upload function takes for a song of 200 MB inside JSON.

    python benchmarks/upload_memory.py [megabytes]

It posts to the real function, as a process, with a real store and bus, and prints the process's
resident memory before, at its peak, and after; then the same for a body that is refused at once,
and for one that turns out to be too long.
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
_PIECE = 3 * 2**18  # a multiple of 3: each piece is base64 of its own


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 200) * MB
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        output = Path(folder) / "function"
        with stack.serve("upload", output, MAX_SONG_BYTES=str(size)) as address:
            worker = _worker()
            report(worker, f"{size // MB} MB song", lambda: post(address, song(size), whole(size)))
            report(
                worker, "413, by its length", lambda: post(address, song(2 * size), whole(2 * size))
            )
            report(worker, "413, in chunks", lambda: post(address, song(2 * size), None))


def report(worker: psutil.Process, what: str, do: Callable[[], str]) -> None:
    """Print what `do` says, how long it takes, and the memory that `worker` has meanwhile."""
    before = worker.memory_info().rss
    peak, ended = [before], threading.Event()

    def look() -> None:
        while not ended.wait(0.01):
            peak[0] = max(peak[0], worker.memory_info().rss)

    watch = threading.Thread(target=look)
    watch.start()
    began = time.perf_counter()
    said = do()
    seconds = time.perf_counter() - began
    ended.set()
    watch.join()
    print(
        f"{what:24} {seconds:6.2f} s   before {before / MB:6.1f} MB   peak {peak[0] / MB:6.1f} MB"
        f"   after {worker.memory_info().rss / MB:6.1f} MB   {said}",
        flush=True,
    )


def song(size: int) -> Iterator[bytes]:
    """The JSON body of a song of `size` bytes that nothing can compress."""
    block = os.urandom(_PIECE)
    yield b'{"mp3": "'
    for start in range(0, size, _PIECE):
        yield b64encode(block[: min(_PIECE, size - start)])
    yield b'"}'


def whole(size: int) -> int:
    """How long that body is."""
    return len(b'{"mp3": ""}') + -(-size // 3) * 4


def post(address: str, body: Iterator[bytes], length: int | None) -> str:
    """POST `body`, in chunks where it has no `length`; what was answered."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
    headers = {"Content-Type": "application/json"}
    if length is not None:
        headers["Content-Length"] = str(length)
    try:
        connection.request("POST", "/apiv1/separate", body, headers, encode_chunked=length is None)
        answer = connection.getresponse()
        said = json.loads(answer.read())
    finally:
        connection.close()
    return f"{answer.status} {said.get('reason') or said['type']}"


def _worker() -> psutil.Process:
    """The gunicorn worker of the function: the one whose parent is our child."""
    [function] = [
        one for one in psutil.Process().children() if "microdemucs.service" in one.cmdline()
    ]
    [worker] = function.children()
    return worker


if __name__ == "__main__":
    main()
