"""The page of a real function, with a real store and bus."""

import io
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from microdemucs.bucket import Bucket
from microdemucs.models.catalogue import BUNDLED_MODEL, RECORD_KEY, ModelsRecord
from microdemucs.models.description import OPENVINO
from testing.job_writer import JobWriter
from testing.stack import Stack
from testing.upload_fixtures import job_writer, stack
from testing.waiting import wait_until
from tests.system.browser.listening import RATE
from tests.system.browser.songs import TONES, tone, wait_for_upload

__all__ = ["job_writer", "stack"]  # pytest finds them here

NULL_SINK = f"null-sink sink_name=null format=float32le rate={RATE}"

expect.set_options(timeout=20_000)  # a busy machine


@pytest.fixture
def serve(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Return a function that serves the upload function with some settings, at an address."""
    with ExitStack() as running:

        def start(**settings: str) -> str:
            output = tmp_path_factory.mktemp("function") / "output"
            return running.enter_context(stack.serve("upload", output, **settings))

        yield start


@pytest.fixture(scope="session")
def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, with the usual settings."""
    output = tmp_path_factory.mktemp("function") / "output"
    with stack.serve("upload", output, THREADS="16") as address:
        yield address


@pytest.fixture(autouse=True)
def _remove_songs_of_other_tests(stack: Stack) -> None:
    """Empty the bucket first: tests find what the page has uploaded by the file's name."""
    Bucket(stack.store, "songs").remove_prefix("form/")


@pytest.fixture
def publish_models(stack: Stack) -> Iterator[Callable[..., None]]:
    """Return a function that makes these models usable, beside the bundled one."""
    keys: list[str] = []

    def put(key: str, data: bytes) -> None:
        stack.store.put_object("models", key, io.BytesIO(data), len(data))
        keys.append(key)

    def publish(**models: bytes) -> None:
        put(RECORD_KEY, ModelsRecord(engines=[OPENVINO], models=[BUNDLED_MODEL]).write())
        for name, data in models.items():
            put(f"{name}/{name}.safetensors", data)

    yield publish
    for key in keys:
        stack.store.remove_object("models", key)


@pytest.fixture
def ready(page: Page, site: str, job_writer: JobWriter, song: Path) -> Page:
    """The page with a song that is done."""
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator("#duration")).to_have_text("0:04")
    return page


@pytest.fixture(scope="module")
def sound_card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a sound server that discards what it plays, after those who record it.

    Firefox plays nothing without one.
    """
    if shutil.which("pulseaudio") is None:
        pytest.skip(
            "PulseAudio is not installed: apt-get install -y --no-install-recommends pulseaudio"
        )
    folder = tmp_path_factory.mktemp("sound")
    socket = folder / "socket"
    command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
    for module in (NULL_SINK, f"native-protocol-unix socket={socket} auth-anonymous=1"):
        command += ["-L", f"module-{module}"]
    own = {name: str(folder) for name in ("HOME", "XDG_RUNTIME_DIR")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    try:
        wait_until(lambda: socket.exists() or server.poll() is not None)
        assert server.poll() is None, (folder / "log").read_text()
        yield f"unix:{socket}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A song whose name no other test has."""
    path = tmp_path / f"Größer als du {uuid.uuid4().hex[:12]}.wav"
    path.write_bytes(tone(440))
    return path
