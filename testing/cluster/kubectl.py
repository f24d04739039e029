"""Run kubectl on the cluster that KUBECONFIG names."""

import json
import subprocess
from typing import Any

NAMESPACE = "micro-demucs"
FUNCTION_LABEL = "serving.knative.dev/service"
"""The label of a pod that names its function."""


def kubectl(*arguments: str, stdin: str | None = None, namespace: str = NAMESPACE) -> str:
    """Return the output of a command. Raises AssertionError with its error if it fails."""
    done = try_kubectl(*arguments, stdin=stdin, namespace=namespace)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def try_kubectl(
    *arguments: str, stdin: str | None = None, namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    command = ["kubectl", "-n", namespace, *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, timeout=240
    )


def read(*arguments: str, namespace: str = NAMESPACE) -> Any:
    """Return the objects of `kubectl get`, as parsed JSON."""
    return json.loads(kubectl("get", *arguments, "-o", "json", namespace=namespace))


def pods(function: str, *, running: bool = True) -> list[str]:
    """Return the names of a function's pods; with `running`, only those that run and stay."""
    items = read("pods", "-l", f"{FUNCTION_LABEL}={function}")["items"]
    return [
        pod["metadata"]["name"]
        for pod in items
        if not running
        or (pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"])
    ]


def run_in_pod(pod: str, container: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a container, with that container's environment and rights."""
    return try_kubectl("exec", pod, "-c", container, "--", "python", "-c", code)
