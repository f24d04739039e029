"""Write and find exported.json. OpenVINO is not imported."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.exported_model import ExportedModel, ExportedNetwork
from microdemucs.paths import MODELS

NETWORK = ExportedNetwork(
    ("network-0-encoding.xml", "network-0-decoding.xml"),
    Fraction(39, 5),
    4096,
    {"f32": -108.1, "bf16": -49.7},
)


def exported(folder: Path) -> ExportedModel:
    return ExportedModel(folder, "digest", ("drums", "bass"), (NETWORK,), [[1.0, 0.5]])


def test_an_exported_model_is_found_as_it_was_written(tmp_path: Path) -> None:
    exported(tmp_path).write("2026.4")
    assert exported_model.find(tmp_path) == exported(tmp_path)


def test_the_document_keeps_its_format(tmp_path: Path) -> None:
    exported(tmp_path).write("2026.4")
    assert json.loads((tmp_path / "exported.json").read_text()) == {
        "format": 2,
        "weights": "digest",
        "openvino": "2026.4",
        "sources": ["drums", "bass"],
        "networks": [
            {
                "parts": ["network-0-encoding.xml", "network-0-decoding.xml"],
                "segment": [39, 5],
                "nfft": 4096,
                "checked": {"f32": -108.1, "bf16": -49.7},
            }
        ],
        "mixing": [[1.0, 0.5]],
    }


def test_the_files_are_in_the_models_folder(tmp_path: Path) -> None:
    assert exported(tmp_path).files(NETWORK) == [
        tmp_path / "network-0-encoding.xml",
        tmp_path / "network-0-decoding.xml",
    ]


@pytest.mark.parametrize("text", ["", "{", json.dumps({"format": exported_model.FORMAT + 1})])
def test_a_document_that_this_version_cannot_read_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / exported_model.NAME).write_text(text)
    assert exported_model.find(tmp_path) is None


def test_a_folder_without_the_document_has_no_exported_model(tmp_path: Path) -> None:
    assert exported_model.find(tmp_path) is None


def test_the_bundled_model_is_exported() -> None:
    bundled = exported_model.find(MODELS / "htdemucs_tiny")
    assert bundled
    assert bundled.sources == ("drums", "bass", "other", "vocals")
    assert all(file.exists() for file in bundled.files(bundled.networks[0]))
