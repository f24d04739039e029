"""Build the images with docker, podman or buildah, and print their sizes (`make images`).

Environment variables:
BUILDER        the command, with its global options if it needs some (default: the first found)
BUILD_OPTIONS  options for its `build`
REGISTRY, TAG  parts of the images' names (default: dev.local and 1)
TARGETS        the targets to build (default: the four components)
ARCHIVES       a folder: also save each image there as a docker archive
SBOM           if set, write the SBOM of each archive beside it (ARCHIVES defaults to out/images)
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from local import sbom
from microdemucs.paths import ROOT

TARGETS = ("upload", "separate", "notify", "minio-events")
_SERVERS = ("minio", "nats-server")  # what the overlay `local` needs beside our components
OTHER_TARGETS = ("separate-gpu", *_SERVERS)
"""Built only if TARGETS names them."""
ARCHIVES = "out/images"
_BUILDERS = ("docker", "podman", "buildah")


def main() -> None:
    """Build all TARGETS. Raises SystemExit with what to do."""
    builder = shlex.split(os.environ.get("BUILDER", "")) or _find_builder()
    registry, tag = os.environ.get("REGISTRY") or "dev.local", os.environ.get("TAG") or "1"
    with_sbom = bool(os.environ.get("SBOM"))
    archives = os.environ.get("ARCHIVES") or (ARCHIVES if with_sbom else None)
    created = _commit_time()
    labels = [word for label in _labels(created) for word in ("--build-arg", label)]
    options = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
    for target in (os.environ.get("TARGETS") or " ".join(TARGETS)).split():
        name = image_name(target, registry, tag)
        _run([*builder, "build", *options, *labels, "--target", target, "-t", name, "."])
        print(f"{name}  {_size(builder, name)}", flush=True)
        if archives:
            archive = ROOT / archives / f"{target}.tar"
            _save(builder, name, archive)
            if with_sbom:
                print(sbom.write(archive, name, created), flush=True)


def image_name(target: str, registry: str = "dev.local", tag: str = "1") -> str:
    """Return the name of a target's image."""
    return f"{registry}/{'' if target in _SERVERS else 'micro-demucs-'}{target}:{tag}"


def _find_builder() -> list[str]:
    for builder in _BUILDERS:
        if shutil.which(builder):
            return [builder]
    raise SystemExit(
        f"found none of {', '.join(_BUILDERS)}: install one, or set BUILDER to a command"
    )


def _commit_time() -> str:
    """Return the commit's time, so that the same sources give the same image."""
    seconds = subprocess.run(
        ["git", "show", "-s", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return datetime.fromtimestamp(int(seconds or 0), UTC).isoformat()


def _labels(created: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return [
        f"VERSION={project['version']}",
        f"REVISION={revision or 'unknown'}",
        f"CREATED={created}",
    ]


def _is_buildah(builder: list[str]) -> bool:
    return Path(builder[0]).name == "buildah"


def _size(builder: list[str], name: str) -> str:
    if not _is_buildah(builder):
        command = [*builder, "image", "inspect", "--format", "{{.Size}}", name]
        size = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return f"{int(size) / 1e6:.0f} MB"
    images = subprocess.run(
        [*builder, "images", "--json", name], capture_output=True, text=True, check=True
    ).stdout
    return str(json.loads(images)[0]["size"])


def _save(builder: list[str], name: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if _is_buildah(builder):
        _run([*builder, "push", "-q", name, f"docker-archive:{file}:{name}"])
    else:
        _run([*builder, "save", "-o", str(file), name])


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, cwd=ROOT, check=True)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not installed: install it, or set BUILDER to another")
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"`{' '.join(command[:2])}` failed with code {error.returncode}: see the lines above"
        )


if __name__ == "__main__":
    main()
