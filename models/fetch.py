"""Download the weights of demucs' own models, from the hub or from demucs' older server."""

import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files
from torch.hub import download_url_to_file

from functions.separate.engine import hub
from functions.separate.engine.locate import files_of


def fetch(name: str, folder: Path) -> None:
    """Download the weights of demucs' model `name` into `folder`, or exit with what to do."""
    names = sorted(path.stem for path in REMOTE_ROOT.glob("*.yaml"))
    if name not in names:
        sys.exit(f"there is no model {name!r}; demucs has {', '.join(names)}")
    if not hub.is_reachable():
        sys.exit(f"no hub can be reached from this machine; {_advice(name, folder)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    servers = {"huggingface.co": _from_hub, "dl.fbaipublicfiles.com": _from_older_server}
    for server, download in servers.items():
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            try:
                download(name, Path(temporary))
            except Exception as error:  # noqa: BLE001 (each client raises errors of its own)
                print(f"{server} failed: {_first_line(error)}", file=sys.stderr)
            else:
                shutil.copytree(temporary, folder, dirs_exist_ok=True)
                return
    sys.exit(f"{name} cannot be downloaded to this machine; {_advice(name, folder)}")


def _from_hub(name: str, folder: Path) -> None:
    for file in files_of(hub.fetch(name), name):
        shutil.copy(file, folder)


def _from_older_server(name: str, folder: Path) -> None:
    bag = REMOTE_ROOT / f"{name}.yaml"
    urls = _parse_remote_files(REMOTE_ROOT / "files.txt")
    for signature in yaml.safe_load(bag.read_text())["models"]:
        url = urls[signature]
        file = folder / url.rsplit("/", 1)[1]
        checksum = file.stem.rsplit("-", 1)[1]
        download_url_to_file(url, str(file), checksum, progress=sys.stderr.isatty())
    shutil.copy(bag, folder)


def _advice(name: str, folder: Path) -> str:
    return (
        f"run `make models MODEL={name}` on one that can, and copy its models/{name} to {folder}, "
        f"or to {name}/ in the bucket of models"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
