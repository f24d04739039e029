"""The precision in which OpenVINO runs an exported model."""

import logging
from dataclasses import replace

import pytest

from functions.separate.engine.locate import BUNDLED
from functions.separate.engine.openvino_backend import exported_model
from functions.separate.engine.openvino_backend.engine import OpenVinoEngine, has_bf16
from functions.separate.engine.openvino_backend.exported_model import ExportedModel
from microdemucs.paths import MODELS


@pytest.fixture
def bundled() -> ExportedModel:
    exported = exported_model.find(MODELS / BUNDLED)
    assert exported
    return exported


def precision_of(exported: ExportedModel, setting: str = "auto") -> str:
    [engine] = exported_model.load("tested", exported, precision=setting).engines
    assert isinstance(engine, OpenVinoEngine)
    return engine.precision


def with_bf16_difference(exported: ExportedModel, difference: float) -> ExportedModel:
    [network] = exported.networks
    differences = network.differences | {"bf16": difference}
    return replace(exported, networks=(replace(network, differences=differences),))


def test_bf16_is_chosen_if_the_processor_has_it(
    bundled: ExportedModel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        precision = precision_of(bundled)
    assert precision == ("bf16" if has_bf16() else "f32")
    [line] = [record for record in caplog.records if record.message == "precision chosen"]
    assert line.__dict__["precision"] == precision


def test_f32_is_chosen_if_bf16_differs_too_much(bundled: ExportedModel) -> None:
    assert precision_of(with_bf16_difference(bundled, -12.0)) == "f32"


def test_the_setting_takes_precedence(bundled: ExportedModel) -> None:
    assert precision_of(bundled, "f32") == "f32"
    assert precision_of(with_bf16_difference(bundled, -12.0), "bf16") == "bf16"
