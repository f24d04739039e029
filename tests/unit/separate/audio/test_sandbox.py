"""The filter's instructions, run as the kernel does (classic BPF, linux/filter.h)."""

import re
import struct

import pytest

from functions.separate.audio import sandbox
from functions.separate.audio.sandbox import _CALLS, _CALLS_FOR_MEMORY, _FUTEX, _MACHINES
from microdemucs.paths import ROOT

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OPEN = {"x86_64": 2, "aarch64": 56}
READ_AND_EXECUTE = 5


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Return what the filter of a machine answers to a call."""
    padded = [*arguments, *[0] * 6][:6]
    architecture = architecture or ARCHITECTURES[machine]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *padded)
    program = [
        struct.unpack("=HBBI", code) for code in sandbox.filter_instructions(_MACHINES[machine])
    ]
    at = value = 0
    while True:
        code, skipped, otherwise, operand = program[at]
        at += 1
        if code == 0x20:
            value = struct.unpack("=I", data[operand : operand + 4])[0]
        elif code == 0x54:
            value &= operand
        elif code == 0x15:
            at += skipped if value == operand else otherwise
        elif code == 0x45:
            at += skipped if value & operand else otherwise
        else:
            assert code == 0x06
            return int(operand)


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def column(machine: str) -> int:
    return list(ARCHITECTURES).index(machine)


def test_exactly_the_listed_calls_are_allowed(machine: str) -> None:
    listed = [*_CALLS.values(), *_CALLS_FOR_MEMORY.values()]
    allowed = {number for number in range(600) if verdict(machine, number) == ALLOW}
    assert allowed == {call[column(machine)] for call in listed}


def test_all_other_calls_are_refused(machine: str) -> None:
    assert verdict(machine, OPEN[machine]) == REFUSE
    assert verdict(machine, 0x40000000) == REFUSE


@pytest.mark.parametrize("call", _CALLS_FOR_MEMORY)
def test_memory_is_never_executable(machine: str, call: str) -> None:
    number = _CALLS_FOR_MEMORY[call][column(machine)]
    assert verdict(machine, number, 0, 4096, 3) == ALLOW
    assert verdict(machine, number, 0, 4096, READ_AND_EXECUTE) == REFUSE


@pytest.mark.parametrize(
    ("operation", "expected"), [(1, ALLOW), (129, ALLOW), (0, REFUSE), (128, REFUSE), (137, REFUSE)]
)
def test_a_futex_only_wakes(machine: str, operation: int, expected: int) -> None:
    assert verdict(machine, _FUTEX[column(machine)], 0, operation) == expected


def test_a_call_of_another_architecture_ends_the_child(machine: str) -> None:
    assert verdict(machine, 0, architecture=0x40000003) == KILL


def test_the_documents_say_how_many_calls_are_left() -> None:
    count = len(_CALLS) + len(_CALLS_FOR_MEMORY) + 1
    for name in ("SECURITY.md", "ARCHITECTURE.md", "functions/separate/audio/sandbox.py"):
        counts = re.findall(r"(\d+) system calls", (ROOT / name).read_text())
        assert counts == [str(count)], name
