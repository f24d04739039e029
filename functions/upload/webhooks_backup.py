"""Webhook registrations as a file, for backups and moves: they are the one thing that no bucket
holds.

    python -m functions.upload.webhooks_backup export FILE
    python -m functions.upload.webhooks_backup import FILE

The file holds the secrets. Run it with the settings of the upload function.
"""

import argparse
import json
from pathlib import Path

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.problems import Problem
from microdemucs.settings import BusSettings


def export(bus: Bus, file: Path) -> int:
    """Write every registration and callback into `file`; how many. Raises RetryLater."""
    held = {entry.key: json.loads(entry.value) for entry in bus.entries(WEBHOOKS) if entry.value}
    file.touch(mode=0o600)
    file.write_text(json.dumps(held, indent=2, ensure_ascii=False) + "\n")
    return len(held)


def read_in(bus: Bus, file: Path) -> int:
    """Write what `file` holds, over what has the same id; how many. Raises RetryLater, SystemExit."""
    try:
        held = json.loads(file.read_text())
        records = {str(key): json.dumps(record).encode() for key, record in held.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise SystemExit(f"{file} holds no registrations: {error}") from error
    for key, record in records.items():
        bus.put(WEBHOOKS, key, record)
    return len(records)


def main() -> None:
    """Read the command line. Ends non-zero with one line where it fails."""
    parser = argparse.ArgumentParser(prog="registrations", description=__doc__)
    parser.add_argument("action", choices=["export", "import"])
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    bus = Bus(BusSettings(), "registrations")
    try:
        do = export if arguments.action == "export" else read_in
        print(f"{arguments.action}ed {do(bus, arguments.file)} registrations")
    except Problem as problem:
        raise SystemExit(str(problem)) from problem
    finally:
        bus.close()


if __name__ == "__main__":
    main()
