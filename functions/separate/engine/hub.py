"""The models that demucs releases on the Hugging Face hub: names, the hub's cache, downloads.

A repository has a list of networks, `<name>.yaml`, and one .safetensors file per network. The
client of the hub (huggingface_hub) is imported by a download only: the import takes half a second.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from functions.separate.engine import released_models
from microdemucs.models import UnusableWeights
from microdemucs.models.ensemble import parse_description

NAMESPACE = "adefossez"
"""The account on the hub from which demucs downloads."""

is_name = re.compile(r"\w[\w.-]*").fullmatch
"""Whether a text can be the name of a model or of a file of weights: it leaves no folder."""


def _ignore(progress: float) -> None:
    """Report nothing."""


class CannotFetch(Exception):
    """A model cannot be downloaded. The text is one line that gives the reason."""


class HubUnreachable(CannotFetch):
    """The server does not answer, or not now."""


def names() -> set[str]:
    """Return the names of the released models, and the signatures of their networks."""
    return {*released_models.MODELS, *released_models.PICKLES}


def fetches_on_demand() -> bool:
    """Return whether a job may name any released model: it is downloaded for the job, if necessary.

    That is so if demucs is installed, since demucs does so too.
    """
    return bool(find_spec("demucs"))


def repository(name: str, namespace: str = NAMESPACE) -> str:
    """Return the repository of a model, or of a signature, on the hub."""
    return f"{namespace}/{released_models.repository(name)}"


def endpoint() -> str:
    """Return the address of the hub, or of the mirror that HF_ENDPOINT names."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def cached(name: str, namespace: str = NAMESPACE) -> Path | None:
    """Return the released model `name` in the cache of the hub's client, or None.

    It is a folder, or a file for a signature. All its networks are present.
    """
    if name not in names():
        return None
    folder = cache_folder() / ("models--" + repository(name, namespace).replace("/", "--"))
    try:
        snapshot = folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
        if name in released_models.PICKLES:
            file = snapshot / f"{name}.safetensors"
            return file if file.exists() else None
        networks = set(re.findall(r"\b[0-9a-f]{8}\b", (snapshot / f"{name}.yaml").read_text()))
    except OSError:
        return None
    files = [snapshot / f"{network}.safetensors" for network in networks]
    return snapshot if files and all(file.exists() for file in files) else None


def fetch(
    name: str,
    folder: Path,
    namespace: str = NAMESPACE,
    report: Callable[[float], None] = _ignore,
) -> None:
    """Download the model `name`, or one network by its signature; `folder` becomes its folder.

    `report` is called with the progress, from 0 to 1. The folder gets its files when all have
    arrived and were checked. What an interrupted download left is continued. Raises CannotFetch,
    which is HubUnreachable within 3 s if the hub does not answer; and OSError.
    """
    # imported here: they import the hub's client
    from functions.separate.engine.hub_download import Staging
    from functions.separate.engine.remote_file import look_up

    staging = Staging(folder)
    if staging.is_done:
        return
    source = repository(name, namespace)
    is_network = name in released_models.PICKLES
    first = look_up(source, f"{name}.safetensors" if is_network else f"{name}.yaml")
    with staging.locked():
        if staging.is_done:  # by another process
            return
        files = [first]
        if not is_network:
            networks = dict.fromkeys(_networks(staging.read(first), first.name))
            files += [
                look_up(source, f"{network}.safetensors", first.commit) for network in networks
            ]
        staging.receive(files, report)
        staging.move(files)


def fetch_pickles(name: str, folder: Path, report: Callable[[float], None] = _ignore) -> None:
    """Do the same with the pickles on demucs' older server. Only torch reads them.

    Raises CannotFetch, OSError.
    """
    # imported here: they import the hub's client
    from functions.separate.engine.hub_download import Staging
    from functions.separate.engine.remote_file import look_up_pickle

    model = released_models.MODELS.get(name)
    files = [
        look_up_pickle(network) for network in dict.fromkeys(model.networks if model else [name])
    ]
    staging = Staging(folder)
    with staging.locked():
        if staging.is_done:
            return
        staging.receive(files, report)
        staging.move(files, {f"{name}.yaml": model.description} if model else {})


def _networks(content: bytes, file: str) -> list[str]:
    with suppress(UnusableWeights, UnicodeDecodeError):
        networks = parse_description(file, content.decode()).signatures
        if all(map(is_name, networks)):
            return networks
    raise CannotFetch(f"{endpoint()} sent a {file} that is no list of networks")


def cache_folder() -> Path:
    """Return the folder that huggingface_hub documents as its cache."""
    environment = os.environ
    home = environment.get("HF_HOME") or (
        environment.get("XDG_CACHE_HOME", "~/.cache") + "/huggingface"
    )
    folder = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expandvars(folder or f"{home}/hub")).expanduser()
