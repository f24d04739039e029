"""`make images`: build the images with docker, podman or buildah, and tell how large they are.

Environment: BUILDER (a command, with its global options where it needs some), BUILD_OPTIONS
(for its `build`), REGISTRY, TAG, TARGETS, ARCHIVES (a folder: also save each as a docker archive),
SBOM (also write what each archive holds beside it; then ARCHIVES is out/images if nothing else).
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

_PROGRAMS = ("minio", "nats-server")  # what the overlay `local` has beside the project's own
TARGETS = ("upload", "separate", "notify", "minio-events")
MORE_TARGETS = ("separate-gpu", *_PROGRAMS)  # built where TARGETS names them
ARCHIVES = "out/images"
_BUILDERS = ("docker", "podman", "buildah")


def main() -> None:
    """Build all TARGETS. Raises SystemExit with what to do."""
    builder = shlex.split(os.environ.get("BUILDER", "")) or _found()
    registry, tag = os.environ.get("REGISTRY") or "dev.local", os.environ.get("TAG") or "1"
    with_sbom = bool(os.environ.get("SBOM"))
    archives = os.environ.get("ARCHIVES") or (ARCHIVES if with_sbom else None)
    created = _created()
    labels = [word for one in _labels(created) for word in ("--build-arg", one)]
    options = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
    for target in (os.environ.get("TARGETS") or " ".join(TARGETS)).split():
        name = name_of(target, registry, tag)
        _run([*builder, "build", *options, *labels, "--target", target, "-t", name, "."])
        print(f"{name}  {_size(builder, name)}", flush=True)
        if archives:
            archive = ROOT / archives / f"{target}.tar"
            _save(builder, name, archive)
            if with_sbom:
                print(sbom.write(archive, name, created), flush=True)


def name_of(target: str, registry: str = "dev.local", tag: str = "1") -> str:
    """The name of a target's image."""
    return f"{registry}/{'' if target in _PROGRAMS else 'micro-demucs-'}{target}:{tag}"


def _found() -> list[str]:
    for one in _BUILDERS:
        if shutil.which(one):
            return [one]
    raise SystemExit(f"images need one of {', '.join(_BUILDERS)}; or BUILDER='my builder'")


def _created() -> str:
    """The commit's time, so that the same sources give the same image."""
    when = subprocess.run(
        ["git", "show", "-s", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return datetime.fromtimestamp(int(when or 0), UTC).isoformat()


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
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return f"{int(said) / 1e6:.0f} MB"
    said = subprocess.run(
        [*builder, "images", "--json", name], capture_output=True, text=True, check=True
    ).stdout
    return str(json.loads(said)[0]["size"])


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
        sys.exit(f"{command[0]} is not there: install it, or say BUILDER=docker, podman or buildah")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(command[:2])} failed with {error.returncode}: its last lines say why")


if __name__ == "__main__":
    main()
