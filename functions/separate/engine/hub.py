"""Where demucs' own models come from: their names, the hub's cache on this machine, the hub.

Works without demucs and the hub's client installed: then there are no such names.
"""

import os
from importlib.util import find_spec
from pathlib import Path

HUBS = ("https://huggingface.co", "https://dl.fbaipublicfiles.com")


def names() -> set[str]:
    """The names and signatures that demucs itself can download. Nothing is imported or asked."""
    package = find_spec("demucs")
    if not package or not package.origin:
        return set()
    remote = Path(package.origin).parent / "remote"
    listed = (remote / "files.txt").read_text().splitlines()
    signatures = {line.split("-")[0] for line in listed if line.endswith(".th")}
    return signatures | {path.stem for path in remote.glob("*.yaml")}


def cached(name: str) -> Path | None:
    """The folder in which the hub's own client keeps `name`, where it has been used before."""
    if name not in names():
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository(name), f"{name}.yaml")
    folder = Path(found).parent if isinstance(found, str) else None
    return folder if folder and any(folder.glob("*.safetensors")) else None


def fetch(name: str) -> Path:
    """The same folder, downloaded now. Raises whatever the hub's client raises, and KeyError."""
    import yaml
    from huggingface_hub import hf_hub_download

    bag = Path(hf_hub_download(repository(name), f"{name}.yaml"))
    for signature in yaml.safe_load(bag.read_text())["models"]:
        hf_hub_download(repository(name), f"{signature}.safetensors")
    return bag.parent


def repository(name: str) -> str:
    """Where the hub has the model; as demucs.hf, which to import would start torch."""
    short = name.removeprefix("htdemucs").lstrip("_")
    if name.startswith("htdemucs"):
        return "adefossez/" + ("HTDemucs-" + short).rstrip("-")
    return f"adefossez/Demucs-{name}"


def answers() -> bool:
    """Whether any place can be reached: demucs' own attempts would take minutes to give up."""
    import urllib3

    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    http = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
    for hub in (os.environ.get("HF_ENDPOINT") or HUBS[0], HUBS[1]):
        try:
            http.request("HEAD", hub, timeout=3.0, retries=False)
            return True
        except urllib3.exceptions.HTTPError:
            continue
    return False
