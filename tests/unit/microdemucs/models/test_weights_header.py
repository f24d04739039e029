import json
from collections.abc import Callable
from fractions import Fraction

import pytest

from microdemucs.models import UnusableWeights
from microdemucs.models.weights_header import NetworkHeader, parse_metadata, read_header
from testing.network_files import HTDEMUCS, SOURCES, network_file

METADATA = {"klass": "a.B", "args": "[]", "kwargs": "{}"}


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: data[offset : offset + size]


def read(data: bytes) -> NetworkHeader:
    return read_header("a.safetensors", len(data), reader(data))


def test_the_header_has_the_class_and_its_arguments() -> None:
    header = read(network_file(channels=16))
    assert header.class_name == HTDEMUCS
    assert header.keywords == {"sources": SOURCES, "segment": Fraction(39, 5), "channels": 16}
    assert not header.is_quantized


def test_a_long_header_is_read_in_two_requests() -> None:
    data = network_file(metadata={"more": "x" * 200_000})
    requests = []

    def read_bytes(offset: int, size: int) -> bytes:
        requests.append(offset)
        return data[offset : offset + size]

    assert read_header("a.safetensors", len(data), read_bytes).class_name == HTDEMUCS
    assert len(requests) == 2


def test_the_tensors_are_not_read() -> None:
    data = network_file()
    whole = len(data)
    assert read_header("a.safetensors", whole, reader(data[:-16])).class_name == HTDEMUCS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        b"\xff" * 100,
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (6).to_bytes(8, "little") + b"[[[[[[",
        network_file()[:-1],
        network_file() + b"\0",
    ],
    ids=["empty", "short", "huge", "no-class", "list", "no-offsets", "broken", "cut", "longer"],
)
def test_a_file_without_a_usable_header_is_refused(data: bytes) -> None:
    with pytest.raises(UnusableWeights, match=r"^a\.safetensors "):
        read(data)


@pytest.mark.parametrize("name", METADATA)
def test_missing_metadata_is_named(name: str) -> None:
    metadata = {key: value for key, value in METADATA.items() if key != name}
    with pytest.raises(UnusableWeights, match=f"lacks '{name}' in its metadata"):
        parse_metadata("a.safetensors", metadata)


@pytest.mark.parametrize(
    "keywords", ["{", "5", '"text"', '{"a": {"_type": "fraction"}}', "[" * 100_000]
)
def test_arguments_that_cannot_be_read(keywords: str) -> None:
    with pytest.raises(UnusableWeights):
        parse_metadata("a.safetensors", METADATA | {"kwargs": keywords})


def test_a_fraction_by_zero_is_refused() -> None:
    zero = {"_type": "fraction", "numerator": 1, "denominator": 0}
    with pytest.raises(UnusableWeights):
        parse_metadata("a.safetensors", METADATA | {"kwargs": json.dumps({"segment": zero})})


def test_quantized_weights_are_recognized() -> None:
    assert parse_metadata("a.safetensors", METADATA | {"structure": "{}"}).is_quantized
