"""Run a command as one part of this clone's stack: python -m local.as_part events COMMAND …"""

import os
import sys

from local.environment import STATE, Local


def main() -> None:
    """Become the command, with that part's settings. Raises SystemExit where no stack is up."""
    part, *command = sys.argv[1:]
    try:
        held = dict(line.split("=", 1) for line in (STATE / "env").read_text().splitlines())
    except OSError:
        raise SystemExit("no stack has been started here: make run") from None
    os.execvpe(command[0], command, os.environ | Local(STATE, held).of(part))  # noqa: S606


if __name__ == "__main__":
    main()
