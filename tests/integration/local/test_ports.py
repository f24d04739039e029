import subprocess
import sys

from local.ports import free_port, reserve
from microdemucs.paths import ROOT


def test_a_reserved_port_is_not_given_to_another_process_while_this_one_lives() -> None:
    assert not reserved_by_another(free_port())


def test_the_ports_of_a_process_that_has_ended_are_free_again() -> None:
    port = free_port()
    while not reserved_by_another(port + 1):
        port = free_port()
    assert reserve(port + 1)


def reserved_by_another(port: int) -> bool:
    """Whether another process, which then ends, could reserve the port."""
    code = f"from local.ports import reserve; print(reserve({port}))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    return other.stdout == b"True\n"
