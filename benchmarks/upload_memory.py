"""Measure the memory of the upload function for a song of 200 MB in each form of a body.

    python -m benchmarks.upload_memory [megabytes]

The forms are base64 inside JSON, multipart/form-data, and the song's own bytes. It posts to the
real function, as a process, with a real store and bus. For each form it prints the process's
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from testing.stack import running_stack

MB = 1_000_000
_BLOCK = 3 * 2**18  # bytes; a multiple of 3, so that each block can be encoded alone


def main() -> None:
    """Post three bodies of each form, and print the memory."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else 200) * MB
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as stack:
        output = Path(folder) / "function"
        with stack.serve("upload", output, MAX_SONG_BYTES=str(size)) as address:
            worker = _worker()
            for form in FORMS:
                fits = partial(post, address, form, size)
                report(worker, f"{form.name}, {size // MB} MB song", fits)
                long = partial(post, address, form, 2 * size)
                report(worker, f"{form.name}, 413, by its length", long)
                in_chunks = partial(post, address, form, 2 * size, has_length=False)
                report(worker, f"{form.name}, 413, in chunks", in_chunks)


@dataclass(frozen=True)
class Form:
    """A form of a request's body: the song is between `head` and `tail`."""

    name: str
    content_type: str
    head: bytes
    tail: bytes
    is_base64: bool = False

    def body(self, size: int) -> Iterator[bytes]:
        """Yield the body of a song of `size` random bytes, which cannot be compressed."""
        block = os.urandom(_BLOCK)
        yield self.head
        for start in range(0, size, _BLOCK):
            data = block[: min(_BLOCK, size - start)]
            yield b64encode(data) if self.is_base64 else data
        yield self.tail

    def length(self, size: int) -> int:
        """Return the length of that body."""
        song = -(-size // 3) * 4 if self.is_base64 else size
        return len(self.head) + song + len(self.tail)


FORMS = (
    Form("JSON", "application/json", b'{"mp3": "', b'"}', is_base64=True),
    Form(
        "multipart",
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n',
        b"\r\n--b--\r\n",
    ),
    Form("raw", "audio/mpeg", b"", b""),
)


def report(worker: psutil.Process, label: str, action: Callable[[], str]) -> None:
    """Print the result and time of `action`, and the memory of `worker` around it."""
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
        f"{label:28} {seconds:6.2f} s   before {before / MB:6.1f} MB   peak {peak[0] / MB:6.1f} MB"
        f"   after {worker.memory_info().rss / MB:6.1f} MB   {result}",
        flush=True,
    )


def post(address: str, form: Form, size: int, *, has_length: bool = True) -> str:
    """POST a song of `size` bytes, in chunks if not `has_length`; return status and reason."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=300)
    headers = {"Content-Type": form.content_type}
    if has_length:
        headers["Content-Length"] = str(form.length(size))
    try:
        connection.request(
            "POST", "/apiv1/separate", form.body(size), headers, encode_chunked=not has_length
        )
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
