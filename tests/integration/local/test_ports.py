import subprocess
import sys

from local.ports import free_port
from microdemucs.paths import ROOT


def test_a_reserved_port_is_not_given_to_another_process_while_this_one_lives() -> None:
    port = free_port()
    code = f"from local.ports import reserve; print(reserve({port}))"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert other.stdout == b"False\n"
