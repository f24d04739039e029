"""Read a docker archive: the configuration and files of its image."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Image:
    """An image. `files`: of all layers, by path without a leading slash; `size`: in bytes."""

    config: dict[str, Any]
    files: dict[str, tarfile.TarInfo]
    size: int


def read(archive: Path) -> Image:
    """Return the only image of an archive."""
    with tarfile.open(archive) as outer:
        [manifest] = json.loads(_member(outer, "manifest.json").read())
        config = json.loads(_member(outer, manifest["Config"]).read())
        files: dict[str, tarfile.TarInfo] = {}
        size = 0
        for layer in manifest["Layers"]:
            size += outer.getmember(layer).size
            with tarfile.open(fileobj=_member(outer, layer)) as inner:
                files |= {info.name.removeprefix("./"): info for info in inner}
    return Image(config["config"], files, size)


def _member(archive: tarfile.TarFile, name: str) -> Any:
    return archive.extractfile(name)
