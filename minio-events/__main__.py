"""The programs of this folder: python -m minio_events provision | bridge | sweep | deadletters."""

import argparse

import uvloop

from microdemucs import logs


def main() -> None:
    """Run one of them; exit non-zero with one line where it fails."""
    parser = argparse.ArgumentParser(prog="minio_events", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("provision", help="buckets, users, targets, rules, streams, consumers")
    arguments = parser.parse_args()
    logs.start("minio-events")
    if arguments.command == "provision":
        from minio_events.provision import provision

        uvloop.run(provision())


if __name__ == "__main__":
    main()
