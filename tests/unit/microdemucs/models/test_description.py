from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from microdemucs.models import UnusableWeights
from microdemucs.models.description import OPENVINO, TORCH, ModelFacts, describe
from testing.network_files import HDEMUCS, SOURCES, network_file


@dataclass
class InMemory:
    """The files of a model."""

    files: Mapping[str, bytes]

    def sizes(self) -> Mapping[str, int]:
        return {name: len(data) for name, data in self.files.items()}

    def read(self, name: str, offset: int, size: int) -> bytes:
        return self.files[name][offset : offset + size]


def facts(files: Mapping[str, bytes], *engines: str) -> ModelFacts:
    return describe("mine", InMemory(files), engines or (OPENVINO,))


def test_a_single_network() -> None:
    assert facts({"a.safetensors": network_file()}) == ModelFacts(
        sources=SOURCES, segment=7.8, max_segment=7.8, networks=1
    )


def test_an_ensemble_has_the_facts_of_its_networks() -> None:
    found = facts(
        {
            "mine.yaml": b"models: [a, b]\nsegment: 5",
            "a.safetensors": network_file(),
            "b.safetensors": network_file(segment=4),
        }
    )
    assert found == ModelFacts(sources=SOURCES, segment=5.0, max_segment=4.0, networks=2)


def test_a_list_cannot_make_segments_longer() -> None:
    found = facts({"mine.yaml": b"models: [a]\nsegment: 44", "a.safetensors": network_file()})
    assert (found.segment, found.max_segment) == (7.8, 7.8)


def test_torch_runs_networks_that_openvino_cannot_build() -> None:
    found = facts({"a.safetensors": network_file(HDEMUCS, segment=40)}, TORCH)
    assert found == ModelFacts(sources=SOURCES, segment=40.0, max_segment=None, networks=1)


def test_torch_reads_pickles_of_which_nothing_is_known() -> None:
    assert facts({"a.th": b"pickle"}, OPENVINO, TORCH) == ModelFacts(
        sources=[], segment=None, max_segment=None, networks=1
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.th": b"pickle"}, "a pickle"),
        ({"a.safetensors": network_file(HDEMUCS)}, "HDemucs is not HTDemucs"),
        ({"a.safetensors": network_file(cac=False)}, "its cac is False"),
        ({"a.safetensors": network_file(metadata={"structure": "{}"})}, "quantized"),
    ],
)
def test_without_torch_a_model_that_needs_it_is_refused(
    files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(UnusableWeights, match=f"OpenVINO cannot run it .*{reason}"):
        facts(files)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no .yaml file and 0 files"),
        ({"mine.yaml": b"models: [a]"}, "the weights a of the ensemble are missing"),
        ({"a.safetensors": b"junk"}, "no readable safetensors file"),
        ({"a.safetensors": network_file("os.system")}, "os.system is no network of demucs"),
        ({"a.safetensors": network_file(audio_channels=1)}, "made for 1 channels at 44100 Hz"),
        ({"a.safetensors": network_file(samplerate=48_000)}, "made for 2 channels at 48000 Hz"),
        ({"a.safetensors": network_file(kernel_size=0, stride=0)}, "a.safetensors cannot be used"),
        ({"a.safetensors": network_file(depth="x")}, "a.safetensors cannot be used"),
        ({"a.safetensors": network_file(HDEMUCS, sources=5)}, "a.safetensors cannot be used"),
        (
            {
                "mine.yaml": b"models: [a, b]",
                "a.safetensors": network_file(),
                "b.safetensors": network_file(sources=["vocals"]),
            },
            "different sources",
        ),
        (
            {"mine.yaml": b"models: [a]\nweights: [[1, 1]]", "a.safetensors": network_file()},
            "one weight per network and source",
        ),
        (
            {"mine.yaml": b"models: [a]\nweights: 5", "a.safetensors": network_file()},
            "one weight per network and source",
        ),
    ],
)
def test_files_that_no_engine_can_run_are_refused(files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(UnusableWeights, match=reason):
        facts(files, OPENVINO, TORCH)
