"""demucs' own models: their names, the hub's cache on this machine, and the hub itself.

Works without demucs and huggingface_hub installed: then there are no such names.
"""

import os
from importlib.util import find_spec
from pathlib import Path

HUBS = ("https://huggingface.co", "https://dl.fbaipublicfiles.com")


def names() -> set[str]:
    """Return the names and signatures that demucs can download. Imports and requests nothing."""
    package = find_spec("demucs")
    if not package or not package.origin:
        return set()
    remote = Path(package.origin).parent / "remote"
    lines = (remote / "files.txt").read_text().splitlines()
    signatures = {line.split("-")[0] for line in lines if line.endswith(".th")}
    return signatures | {path.stem for path in remote.glob("*.yaml")}


def cached(name: str) -> Path | None:
    """Return the folder of `name` in huggingface_hub's cache, or None if it is not complete."""
    if name not in names():
        return None
    from huggingface_hub import try_to_load_from_cache

    bag = try_to_load_from_cache(repository(name), f"{name}.yaml")
    folder = Path(bag).parent if isinstance(bag, str) else None
    return folder if folder and any(folder.glob("*.safetensors")) else None


def fetch(name: str) -> Path:
    """Download `name` into huggingface_hub's cache; return its folder.

    Raises any error of huggingface_hub.
    """
    import yaml
    from huggingface_hub import hf_hub_download

    bag = Path(hf_hub_download(repository(name), f"{name}.yaml"))
    for signature in yaml.safe_load(bag.read_text())["models"]:
        hf_hub_download(repository(name), f"{signature}.safetensors")
    return bag.parent


def repository(name: str) -> str:
    """Return the model's repository on the hub, as demucs.hf does; importing that imports torch."""
    short = name.removeprefix("htdemucs").lstrip("_")
    if name.startswith("htdemucs"):
        return "adefossez/" + ("HTDemucs-" + short).rstrip("-")
    return f"adefossez/Demucs-{name}"


def is_reachable() -> bool:
    """Return whether any hub answers within 3 s; demucs itself would try for minutes."""
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
