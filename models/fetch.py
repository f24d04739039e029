"""Download the weights of demucs' models from the Hugging Face hub, or from demucs' older server.

The hub has .safetensors files, which need no torch. The older server has pickles.
"""

import re
import shutil
import sys
from pathlib import Path

from functions.separate.engine import hub
from functions.separate.engine.locate import files_of
from local.progress_bar import ProgressBar

_is_name = re.compile(r"\w[\w.-]*").fullmatch


def fetch(name: str, folder: Path, namespace: str) -> None:
    """Put the model `name` into `folder`, or exit with one line that says what to do.

    It is copied from the cache of the hub's client, if it is there.
    """
    cached = hub.cached(name, namespace)
    if cached:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files_of(cached, name):
            shutil.copy(file, folder)
        return
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
            reason += f"; {error}"
    sys.exit(
        f"{name} cannot be downloaded: {reason}; if this machine has no access, run "
        f"`make models MODEL={name}` on one that has, and copy its models/{name} to {folder}, "
        f"or to {name}/ in the bucket of models"
    )


def split_name(name: str, namespace: str) -> tuple[str, str]:
    """Return the namespace and the name of `[namespace/]name`, as demucs' `hf://` has them.

    Without a namespace of its own the name must be one of demucs', else this exits.
    """
    own, _, short = name.rpartition("/")
    if own and _is_name(own) and _is_name(short):
        return own, short
    if name in hub.names():
        return namespace, name
    released = sorted(name for name in hub.names() if not re.fullmatch(r"[0-9a-f]{8}", name))
    return sys.exit(f"there is no model {name!r}; demucs has {', '.join(released)}")
