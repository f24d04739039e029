"""The programs of this folder: python -m minio_events bridge | intake | sweep …."""

import argparse

import uvloop

from microdemucs import logs
from minio_events.bridge import bridge
from minio_events.dead_letters_cli import deadletters
from minio_events.intake import intake
from minio_events.provision import provision
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
    if arguments.command != "deadletters":
        logs.start("minio-events")
    if arguments.command == "provision":
        uvloop.run(provision())
    elif arguments.command == "bridge":
        uvloop.run(bridge())
    elif arguments.command == "intake":
        uvloop.run(intake())
    elif arguments.command == "sweep":
        uvloop.run(sweep(arguments.every))
    else:
        uvloop.run(deadletters(arguments.action, arguments.numbers))


if __name__ == "__main__":
    main()
