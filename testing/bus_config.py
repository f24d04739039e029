"""The bus of a test: that of minio-events/nats.conf, and a user that may do everything.

Each component keeps exactly its rights. The user `tests` is in the account of the streams, and
publishes and reads what no single component may.
"""

from pathlib import Path

from microdemucs.paths import ROOT

TESTS = "tests"
"""The user's name, and its password."""

_FIRST_USER = "      { user: provision,"


def write_bus_config(file: Path) -> None:
    """Write the configuration of NATS with the user `tests`."""
    text = (ROOT / "minio-events/nats.conf").read_text()
    if text.count(_FIRST_USER) != 1:
        raise AssertionError("nats.conf has another form")
    user = f"      {{ user: {TESTS}, password: {TESTS} }}\n"
    file.write_text(text.replace(_FIRST_USER, user + _FIRST_USER))
