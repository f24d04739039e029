"""The README's commands do in a fresh copy of the checkout what the README shows."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile

from local.environment import PORTS
from microdemucs.paths import ROOT

README = (ROOT / "README.md").read_text()
EXAMPLE = README.partition("## An example")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```\n(?:```text\n(.*?)```)?", EXAMPLE, re.DOTALL)
START = "make run"
LAST_LINE = re.compile(r"^  logs +make logs$", re.MULTILINE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all files that git knows, with this checkout's virtual environment."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():  # it may be deleted and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The variables of a shell in which nothing of this project is set, on free ports."""
    kept = {name: value for name, value in os.environ.items() if name != "MICRO_DEMUCS_STATE"}
    settings = {"OMP_NUM_THREADS": "1", "MODEL": "htdemucs_tiny"}  # the full one is not fetched
    return kept | dict.fromkeys(PORTS, "0") | settings


@pytest.fixture(scope="module")
def shell(checkout: Path, environment: dict[str, str]) -> Callable[[str], str]:
    """Run a script in the checkout; return what it printed. A failing command fails the test."""

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="module")
def running(
    checkout: Path, environment: dict[str, str], shell: Callable[[str], str]
) -> Iterator[str]:
    """What `make run` printed until the stack was up; `make stop` ends it afterwards."""
    assert START in re.findall(r"^make [a-z]+", README, re.MULTILINE)
    process = subprocess.Popen(
        START.split(),
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    output = ""
    try:
        while not LAST_LINE.search(output):
            line = process.stdout.readline()
            assert line, output
            output += line
        yield output
    finally:
        shell("make stop")
        process.communicate(timeout=60)
        assert process.returncode == 0


def without_what_varies(output: str) -> list[str]:
    """The lines of `output` with what differs from run to run replaced."""
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>", output)
    output = re.sub(r"\d[\d.]*(?=[KM]iB| bytes)", "<size>", output)
    # the job may start before the response is written
    return re.sub(r'(?<="state":)"(waiting|running)"', "<not finished>", output).splitlines()


@pytest.fixture(scope="module")
def outputs(running: str, shell: Callable[[str], str]) -> list[str]:
    """What each block of the example printed; all run in one shell."""
    marker = "=== end of block ==="
    script = f"\necho '{marker}'\n".join(commands for commands, _ in BLOCKS)
    return shell(script).split(f"{marker}\n")


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_example_prints_what_the_readme_shows(
    number: int, outputs: list[str]
) -> None:
    shown = without_what_varies(BLOCKS[number][1])
    assert shown
    assert without_what_varies(outputs[number])[-len(shown) :] == shown


@pytest.mark.usefixtures("outputs")
def test_the_example_fetches_a_stem(checkout: Path) -> None:
    assert soundfile.info(checkout / "out/vocals.mp3").duration == pytest.approx(43.0, abs=0.2)


def test_make_run_separates_the_sample_into_out(running: str, checkout: Path) -> None:
    stems = [f"out/black_mountain/{name}.mp3" for name in ("drums", "bass", "other", "vocals")]
    assert [stem for stem in stems if stem in running] == stems
    assert [stem for stem in stems if (checkout / stem).exists()] == stems


def test_make_run_prints_the_webhook(running: str) -> None:
    assert '"type": "dev.microdemucs.separation.completed"' in running


def test_make_run_prints_the_address_of_the_web_form(running: str) -> None:
    assert re.search(r"web form +http://127\.0\.0\.1:\d+/", running)


@pytest.mark.usefixtures("running")
def test_make_requests_tries_every_route(shell: Callable[[str], str]) -> None:
    assert "GET /apiv1/openapi.json" in shell("make requests")


def test_make_help_lists_the_commands_of_the_readme(shell: Callable[[str], str]) -> None:
    listed = set(re.findall(r"^([a-z-]+) ", shell("make help"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named - listed == set()
