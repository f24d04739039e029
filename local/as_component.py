"""Run a command as a component of this clone's stack, with that component's rights.

python -m local.as_component events COMMAND …
"""

import os
import sys

from local.environment import Environment


def main() -> None:
    """Replace this process by the command. Raises SystemExit if no stack was started."""
    component, *command = sys.argv[1:]
    os.execvpe(command[0], command, Environment.load().for_process(component))  # noqa: S606


if __name__ == "__main__":
    main()
