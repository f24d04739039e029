"""Run a command as one part of this clone's stack: python -m local.as_part events COMMAND …"""

import os
import sys

from local.environment import started


def main() -> None:
    """Become the command, with that part's settings. Raises SystemExit where no stack is up."""
    part, *command = sys.argv[1:]
    os.execvpe(command[0], command, os.environ | started().of(part))  # noqa: S606


if __name__ == "__main__":
    main()
