"""The arenas of malloc in a process with many threads."""

import subprocess
import sys

from microdemucs.paths import ROOT

THREADS = """
import ctypes, os, tempfile, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ready = threading.Barrier(12)
def work():
    ready.wait()
    libc.malloc(1000)
    ready.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count(b"<heap nr="))
"""


def arenas(limit: str) -> int:
    code = f"from microdemucs.malloc_arenas import limit_arenas\n{limit}\n{THREADS}"
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return int(ended.stdout)


def test_all_threads_share_a_few_arenas() -> None:
    assert arenas("limit_arenas()") == 3


def test_without_the_limit_threads_have_arenas_of_their_own() -> None:
    assert arenas("") > 3


def test_every_function_limits_its_arenas() -> None:
    code = f"""
import contextlib, io, sys
import microdemucs.service as service
sys.argv[1:] = ["--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    service.main()
{THREADS}
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    assert ended.stdout == "3\n"
