"""kubectl, as a test wants it: its own cluster is what KUBECONFIG names."""

import json
import subprocess
from typing import Any

NAMESPACE = "micro-demucs"
PART = "serving.knative.dev/service"
"""The label that says whose pod it is."""


def kubectl(*words: str, given: str | None = None, within: str = NAMESPACE) -> str:
    """What it prints. Raises AssertionError with its error where it fails."""
    done = attempt(*words, given=given, within=within)
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


def attempt(
    *words: str, given: str | None = None, within: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """The same, whatever comes of it."""
    command = ["kubectl", "-n", within, *words]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=240
    )


def read(*words: str, within: str = NAMESPACE) -> Any:
    """The objects that `kubectl get` finds."""
    return json.loads(kubectl("get", *words, "-o", "json", within=within))


def pods(function: str, *, running: bool = True) -> list[str]:
    """The names of a function's pods; those that end are not `running`."""
    found = read("pods", "-l", f"{PART}={function}")["items"]
    return [
        pod["metadata"]["name"]
        for pod in found
        if not running
        or (pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"])
    ]


def in_pod(pod: str, container: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a container, with that container's own environment and rights."""
    return attempt("exec", pod, "-c", container, "--", "python", "-c", code)
