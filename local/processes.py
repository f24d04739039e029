"""Run the Procfile's components under honcho, each with the credentials of its own component only.

python -m local.processes FOLDER, the folder of a stack
"""

import sys
from pathlib import Path

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer

from local.environment import Environment
from microdemucs.paths import ROOT


def commands() -> dict[str, str]:
    """Return the command of each component."""
    found: dict[str, str] = parse_procfile((ROOT / "Procfile").read_text()).processes
    return found


def main() -> None:
    """Run until a signal comes or a component ends; then end all of them."""
    environment = Environment.load(Path(sys.argv[1]))
    manager = Manager(Printer(sys.stdout))
    for component, command in commands().items():
        manager.add_process(
            component, command, env=environment.for_process(component), cwd=str(ROOT)
        )
    manager.loop()
    sys.exit(manager.returncode)


if __name__ == "__main__":
    main()
