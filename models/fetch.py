"""Fetching weights: from the hub that demucs 4.1 uses, or from where its older ones are."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files
from torch.hub import download_url_to_file

from functions.separate.engine import hub
from functions.separate.engine.locate import files_of


def fetch(name: str, folder: Path) -> None:
    """Put the weights of demucs' model `name` into `folder`. Raises SystemExit with what to do."""
    names = sorted(path.stem for path in REMOTE_ROOT.glob("*.yaml"))
    if name not in names:
        sys.exit(f"there is no model {name!r}; demucs has {', '.join(names)}")
    if not hub.answers():
        sys.exit(f"no hub can be reached from here; {_elsewhere(name, folder)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sources: tuple[Callable[[str, Path], None], ...] = (_from_hub, _from_older_place)
    for source in sources:
        with tempfile.TemporaryDirectory(dir=folder.parent) as coming:
            try:
                source(name, Path(coming))
            except Exception as error:  # noqa: BLE001 (each client has errors of its own)
                print(f"{source.__doc__} cannot be used: {_first_line(error)}", file=sys.stderr)
            else:
                shutil.copytree(coming, folder, dirs_exist_ok=True)
                return
    sys.exit(f"{name} cannot be fetched from here; {_elsewhere(name, folder)}")


def _from_hub(name: str, into: Path) -> None:
    """huggingface.co"""
    for path in files_of(hub.fetch(name), name):
        shutil.copy(path, into)


def _from_older_place(name: str, into: Path) -> None:
    """dl.fbaipublicfiles.com"""
    bag = REMOTE_ROOT / f"{name}.yaml"
    addresses = _parse_remote_files(REMOTE_ROOT / "files.txt")
    for signature in yaml.safe_load(bag.read_text())["models"]:
        address = addresses[signature]
        target = into / address.rsplit("/", 1)[1]
        checksum = target.stem.rsplit("-", 1)[1]
        download_url_to_file(address, str(target), checksum, progress=sys.stderr.isatty())
    shutil.copy(bag, into)


def _elsewhere(name: str, folder: Path) -> str:
    return (
        f"run `make models MODEL={name}` where one can, and copy models/{name} to {folder}, or "
        f"into the bucket of models under {name}/"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
