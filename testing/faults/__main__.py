"""Run a campaign of faults, or report one: `make faults`, `make faults-report`.

python -m testing.faults run --faults 30 --seed 1 [--folder out/faults]
python -m testing.faults report [--folder out/faults] [--picture out/faults/timeline.svg]
"""

import argparse
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from microdemucs.paths import ROOT
from testing.faults import report
from testing.faults.campaign import Violated, run_campaign
from testing.faults.components import FaultStack
from testing.faults.isolation import Network, enter
from testing.faults.timeline import read_timeline

_FOLDER = ROOT / "out/faults"


def run(folder: Path, seed: int, faults: int) -> int:
    """Run a campaign; return 0 if everything held, else 1, after printing what did not."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    network, skipped = None, enter(sys.argv[1:])
    if not skipped:
        try:
            network = Network(folder)
        except subprocess.CalledProcessError as error:
            skipped = f"{' '.join(error.cmd)}: {error.stderr.decode().strip()}"
    if skipped:
        print(f"faults of network and disk are skipped: {skipped}", flush=True)
    print(f"seed {seed}, {faults} faults; timeline and logs are in {folder}", flush=True)
    stack = FaultStack(folder / "stack", network)
    try:
        run_campaign(stack, folder, seed, faults, skipped)
    except Violated as violation:
        print(report.last_round(read_timeline(folder / "timeline.jsonl")))
        print(f"violated, seed {seed}:\n{violation}")
        return 1
    finally:
        stack.close()
    print(report.table([read_timeline(folder / "timeline.jsonl")]))
    return 0


def show(folders: list[Path], picture: Path | None) -> int:
    """Print the table of the campaigns in `folders`, and draw the picture."""
    campaigns = [read_timeline(folder / "timeline.jsonl") for folder in folders]
    print(report.table(campaigns))
    if picture:
        picture.write_text(report.picture(campaigns))
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="testing.faults", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="run a campaign")
    run_parser.add_argument("--faults", type=int, default=30)
    run_parser.add_argument("--seed", type=int, default=1)
    run_parser.add_argument("--folder", type=Path, default=_FOLDER)
    report_parser = commands.add_parser("report", help="report campaigns")
    report_parser.add_argument("--folder", type=Path, nargs="+", default=[_FOLDER])
    report_parser.add_argument("--picture", type=Path, help="write an SVG")
    arguments = parser.parse_args()
    if arguments.command == "report":
        return show(arguments.folder, arguments.picture)
    return run(arguments.folder.resolve(), arguments.seed, arguments.faults)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
