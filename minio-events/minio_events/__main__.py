"""The command `python -m minio_events`: bridge, intake, sweep, provision and dead-letters."""

import argparse
from collections.abc import Coroutine
from typing import Any

import uvloop

from microdemucs import logs
from microdemucs.hidden_memory import hide_memory
from microdemucs.plain_numbers import decimal_number
from microdemucs.settings import BadSetting, BusSettings
from minio_events.bridge import bridge
from minio_events.dead_letters_cli import dead_letters
from minio_events.intake import intake
from minio_events.provision import provision
from minio_events.settings import BridgeSettings, IntakeSettings, ProvisionSettings, SweepSettings
from minio_events.sweep import sweep

_DEAD_LETTERS = ("dead-letters", "deadletters")


def main() -> None:
    """Run one program. On failure, exit with code 1 and one line on stderr."""
    hide_memory()
    arguments = _parser().parse_args()
    try:
        uvloop.run(_program(arguments))
    except BadSetting as error:
        raise SystemExit(f"{arguments.command}: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minio_events")
    programs = parser.add_subparsers(dest="command", required=True, metavar="PROGRAM")
    programs.add_parser(
        "provision",
        help="create or update buckets, users, notification rules, streams and consumers, then end",
    )
    programs.add_parser(
        "bridge", help="send the messages on the bus to the functions as HTTP requests"
    )
    programs.add_parser("intake", help="record each song that arrives as a waiting job")
    sweeper = programs.add_parser(
        "sweep", help="compare the two buckets and repair whatever a lost notification missed"
    )
    sweeper.add_argument(
        "--every",
        type=_seconds,
        metavar="SECONDS",
        help="repeat after this many seconds; without it, sweep once",
    )
    name, *aliases = _DEAD_LETTERS
    dead = programs.add_parser(
        name, aliases=aliases, help="list, show, replay or drop the messages that failed for good"
    )
    dead.add_argument("action", choices=["list", "show", "replay", "drop"])
    dead.add_argument(
        "numbers", nargs="*", metavar="NUMBER", help="a number that `list` shows, or all"
    )
    return parser


def _seconds(text: str) -> float:
    seconds = decimal_number(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 300")
    return seconds


def _program(arguments: argparse.Namespace) -> Coroutine[Any, Any, None]:
    """Read the program's settings and return the program, not yet started. Raises BadSetting."""
    if arguments.command in _DEAD_LETTERS:
        return dead_letters(BusSettings(), arguments.action, arguments.numbers)
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
