from pathlib import Path

import pytest

from local import setup


def test_without_a_network_the_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n")
    for name, value in (
        ("PIP_INDEX_URL", "http://127.0.0.1:9/simple"),
        ("PIP_RETRIES", "0"),
        ("PIP_FIND_LINKS", ""),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(setup.CannotSetUp, match="Is there a network") as error:
        setup.pip_install("-r", str(lock))
    assert "\n" not in str(error.value)
