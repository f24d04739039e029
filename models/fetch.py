"""Download the weights of demucs' models from the Hugging Face hub, or from demucs' older server.

The hub has .safetensors files, which need no torch. The older server has pickles.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from functions.separate.engine import hub
from local.progress_bar import ProgressBar


def fetch(name: str, folder: Path, namespace: str) -> None:
    """Download the model `name` into `folder`, or exit with one line that says what to do."""
    try:
        with ProgressBar(f"fetching {name}") as bar:
            hub.fetch(name, folder, namespace, bar.update)
        return
    except hub.CannotFetch as error:
        reason = str(error)
    if name in hub.names():
        try:
            with ProgressBar(f"fetching {name} (older)") as bar:
                hub.fetch_pickles(name, folder, bar.update)
            return
        except hub.CannotFetch as error:
            reason += f"; {error}" if str(error) != reason else ""
    sys.exit(
        f"{name} cannot be downloaded: {reason}; if this machine has no access, run "
        f"`make models MODEL={name}` on one that has, and copy its models/{name} to {folder}, "
        f"or to {name}/ in the bucket of models"
    )


def copy(files: Iterable[Path], folder: Path) -> None:
    """Copy a model's files into `folder`, which gets them when all are complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        complete = Path(temporary) / folder.name
        complete.mkdir()
        for file in files:
            shutil.copy(file, complete)
        if not folder.exists():
            complete.rename(folder)
        for file in complete.glob("*"):
            file.rename(folder / file.name)


def split_name(name: str, namespace: str) -> tuple[str, str]:
    """Return the namespace and the name of `[hf://][namespace/]name`, as demucs has them.

    Without a namespace of its own the name must be one of demucs', else this exits.
    """
    name = name.removeprefix("hf://")
    own, _, short = name.rpartition("/")
    if own and hub.is_name(own) and hub.is_name(short):
        return own, short
    if name in hub.names():
        return namespace, name
    released = sorted(name for name in hub.names() if not re.fullmatch(r"[0-9a-f]{8}", name))
    return sys.exit(f"there is no model {name!r}; demucs has {', '.join(released)}")
