"""Export webhook registrations to a file, and import them: no bucket of the store holds them.

    python -m functions.upload.webhooks_backup export FILE
    python -m functions.upload.webhooks_backup import FILE

The file contains the secrets. Run it with the settings of the upload function.
"""

import argparse
import json
import sys
from pathlib import Path

from microdemucs.bus import WEBHOOKS, Bus
from microdemucs.problems import Problem
from microdemucs.settings import BadSetting, BusSettings
from microdemucs.webhooks import CALLBACK_DAYS, is_callback


def export_webhooks(bus: Bus, file: Path) -> int:
    """Write all webhooks and callbacks to `file` and return their number. Raises RetryLater.

    Records that cannot be read are left out, and named on standard error.
    """
    records = {}
    for entry in bus.changes(WEBHOOKS, ">", 0):
        try:
            records[entry.key] = json.loads(entry.value or b"null")
        except (ValueError, RecursionError):
            print(f"{entry.key} cannot be read and is left out", file=sys.stderr)
    records = {key: record for key, record in records.items() if record is not None}
    file.touch(mode=0o600)
    file.write_text(json.dumps(records, indent=2, ensure_ascii=False) + "\n")
    return len(records)


def import_webhooks(bus: Bus, file: Path) -> int:
    """Write the records of `file` to the bus and return their number.

    Records with the same id are replaced. Raises RetryLater; SystemExit if `file` is unusable.
    """
    try:
        records = {key: json.dumps(record) for key, record in json.loads(file.read_text()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise SystemExit(f"{file} is not a file of webhook registrations: {error}") from error
    for key, record in records.items():
        ttl = CALLBACK_DAYS * 86400 if is_callback(key) else 0
        bus.put(WEBHOOKS, key, record.encode(), ttl)
    return len(records)


def main() -> None:
    """Run the command; an error ends it with one line and a non-zero status."""
    parser = argparse.ArgumentParser(
        prog="webhooks_backup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["export", "import"])
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        settings = BusSettings()
    except BadSetting as error:
        raise SystemExit(str(error)) from None
    bus = Bus(settings, "webhooks_backup")
    try:
        run = export_webhooks if arguments.action == "export" else import_webhooks
        print(f"{arguments.action}ed {run(bus, arguments.file)} registrations")
    except Problem as problem:
        raise SystemExit(str(problem)) from problem
    finally:
        bus.close()


if __name__ == "__main__":
    main()
