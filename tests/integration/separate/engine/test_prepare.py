"""`make models`: a model is fetched unless it is there, and exported beside its weights."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from demucs.hdemucs import HDemucs
from demucs.states import get_state

from functions.separate.engine.locate import BUNDLED, Weights
from functions.separate.engine.openvino_backend import exported_model
from microdemucs.paths import ROOT

TINY = ROOT / "models" / BUNDLED / f"{BUNDLED}.safetensors"


def prepare(name: str, into: Path) -> subprocess.CompletedProcess:
    """The chore, with no hub in reach."""
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "models/prepare.py", name, "--into", str(into)],
        cwd=ROOT,
        env=os.environ | nowhere | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_weights_that_are_there_are_exported_beside_themselves_and_not_again(tmp_path):
    (tmp_path / "mine").mkdir()
    shutil.copy(TINY, tmp_path / "mine")
    said = prepare("mine", tmp_path)
    assert said.returncode == 0, said.stderr
    assert "dB from torch in f32" in said.stdout
    form = exported_model.find(tmp_path / "mine")
    assert form
    assert form.weights == Weights("mine", TINY).digest()
    assert "is complete" in prepare("mine", tmp_path).stdout


def test_an_older_model_is_left_for_torch_and_it_says_so(tmp_path):
    network = HDemucs(["drums", "bass", "other", "vocals"], channels=4)
    arguments, named = network._init_args_kwargs
    package = {"klass": HDemucs, "args": arguments, "kwargs": named}
    torch.save(package | {"state": get_state(network, None)}, tmp_path / "older.th")
    said = prepare("older", tmp_path)
    assert said.returncode == 0
    assert "is served by torch only, since it cannot be exported" in said.stdout
    assert exported_model.find(tmp_path / "older") is None


def test_what_cannot_be_had_ends_with_one_line_that_says_what_to_do(tmp_path):
    unknown, far = prepare("no-such", tmp_path), prepare("htdemucs", tmp_path)
    assert (unknown.returncode, far.returncode) == (1, 1)
    assert "there is no model 'no-such'; demucs has hdemucs_mmi, htdemucs" in unknown.stderr
    assert "run `make models MODEL=htdemucs` where one can, and copy" in far.stderr
    assert not list(tmp_path.iterdir())
