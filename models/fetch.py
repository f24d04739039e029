"""Get a model's weights into this folder: python models/fetch.py htdemucs

From the hub that demucs 4.1 uses, or else from where its older weights are. What it leaves in
models/<name>/ can be carried to a machine without a network, or into the bucket of models.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files
from huggingface_hub import hf_hub_download
from torch.hub import download_url_to_file

from functions.separate.engine.models import hub_answers

HERE = Path(__file__).parent


def main() -> None:
    """Fetch the named model, or end with one line that says what to do."""
    names = sorted(path.stem for path in REMOTE_ROOT.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help=", ".join(names))
    parser.add_argument("--into", type=Path, default=os.environ.get("MODELS_DIR") or HERE)
    asked = parser.parse_args()
    if asked.name not in names:
        sys.exit(f"there is no model {asked.name!r}; there are {', '.join(names)}")
    folder = asked.into / asked.name
    if folder.exists():
        sys.exit(f"{folder} is there already; remove it to fetch it again")
    if not hub_answers():
        sys.exit(f"no hub can be reached from here; {_elsewhere(asked.name, folder)}")
    with tempfile.TemporaryDirectory(dir=asked.into) as coming:
        for source in (from_hub, from_older_place):
            try:
                source(asked.name, Path(coming))
            except Exception as error:  # noqa: BLE001 (each client has errors of its own)
                print(f"{source.__doc__} cannot be used: {_first_line(error)}", file=sys.stderr)
            else:
                shutil.copytree(coming, folder)
                print(folder)
                return
    sys.exit(f"{asked.name} cannot be fetched from here; {_elsewhere(asked.name, folder)}")


def from_hub(name: str, into: Path) -> None:
    """huggingface.co"""
    repository = f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}"
    bag = Path(hf_hub_download(repository, f"{name}.yaml"))
    for signature in yaml.safe_load(bag.read_text())["models"]:
        shutil.copy(hf_hub_download(repository, f"{signature}.safetensors"), into)
    shutil.copy(bag, into)


def from_older_place(name: str, into: Path) -> None:
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
        f"fetch it where one can, and copy models/{name} to {folder}, or into the bucket of "
        f"models under {name}/"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    main()
