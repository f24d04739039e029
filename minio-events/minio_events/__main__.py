"""The programs of this folder: python -m minio_events bridge | intake | sweep …."""

import argparse
from collections.abc import Coroutine
from typing import Any

import uvloop

from microdemucs import logs
from microdemucs.settings import BadSetting
from minio_events.bridge import bridge
from minio_events.dead_letters_cli import deadletters
from minio_events.intake import intake
from minio_events.provision import provision
from minio_events.settings import BridgeSettings, IntakeSettings, ProvisionSettings, SweepSettings
from minio_events.sweep import sweep


def main() -> None:
    """Run one of them; exit non-zero with one line where it fails."""
    parser = argparse.ArgumentParser(prog="minio_events", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("provision", help="buckets, users, targets, rules, streams, consumers")
    commands.add_parser("bridge", help="messages become requests to the functions")
    commands.add_parser("intake", help="songs that have arrived become jobs that wait")
    sweeper = commands.add_parser("sweep", help="find what a lost notification left")
    sweeper.add_argument("--every", type=float, metavar="SECONDS", help="go on, this often")
    burial = commands.add_parser("deadletters", help="what was given up")
    burial.add_argument("action", choices=["list", "show", "replay", "drop"])
    burial.add_argument("numbers", nargs="*", metavar="NUMBER", help="which, or all")
    arguments = parser.parse_args()
    try:
        uvloop.run(_chosen(arguments))
    except BadSetting as error:
        raise SystemExit(f"{arguments.command}: {error}") from None


def _chosen(arguments: argparse.Namespace) -> Coroutine[Any, Any, None]:
    if arguments.command == "deadletters":
        return deadletters(arguments.action, arguments.numbers)
    logs.start("minio-events")
    match arguments.command:
        case "provision":
            return provision(ProvisionSettings())
        case "bridge":
            return bridge(BridgeSettings())
        case "intake":
            return intake(IntakeSettings())
        case _:
            return sweep(SweepSettings(), arguments.every)


if __name__ == "__main__":
    main()
