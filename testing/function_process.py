"""One function as a child process, as a pod would run it."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.ports import free_port
from local.stack import answers
from microdemucs.paths import ROOT
from testing.waiting import wait_until


@dataclass(frozen=True)
class FunctionProcess:
    """A function that is served at `url` by `process`."""

    url: str
    process: "subprocess.Popen[bytes]"


@contextmanager
def function_process(
    command: Sequence[str], settings: Mapping[str, str], output: Path
) -> Iterator[FunctionProcess]:
    """Run `command` until the block ends, then send SIGTERM; yield when it is ready.

    Standard output and error go to the file `output`.
    """
    port = free_port()
    variables = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'minio-events'}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    with output.open("ab") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **variables, **settings}, stdout=file, stderr=file
        )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, output.read_text()
        return answers(f"{url}/readyz")

    try:
        wait_until(is_ready, 60, f"{' '.join(command)} is ready")
        yield FunctionProcess(url, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
