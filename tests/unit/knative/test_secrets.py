"""Each pod of the manifests gets the secrets that its component declares, and no others."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from microdemucs.paths import ROOT
from tests.unit.component_settings import SETTINGS, secrets_of

COMPONENTS = ("models", "fetch-models", "fetch-models-to-volume")
SERVERS = {
    "minio": {"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"},
    "nats": {
        f"NATS_{user}_PASSWORD"
        for user in (
            *("PROVISION", "MINIO", "BRIDGE", "INTAKE", "SWEEP", "EVENTS"),
            *("SEPARATE", "UPLOAD", "NOTIFY", "LOGS"),
        )
    },
}
"""The secrets of the store and of the bus, which are no programs of ours."""


FOLDERS = ("base", "overlays/local", *(f"components/{name}" for name in COMPONENTS))
JOBS = {"models": {"STORE_ACCESS_KEY", "STORE_SECRET_KEY"}}
"""The secrets of Jobs that an overlay may add."""


def documents(*folders: str) -> list[dict[str, Any]]:
    files = [file for folder in folders for file in (ROOT / "knative" / folder).glob("*.yaml")]
    parsed = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    return [one for one in parsed if isinstance(one, dict)]  # a list is a patch


def containers() -> dict[str, dict[str, Any]]:
    """Return each container of the base, the local overlay and the Jobs by its name."""
    found = {}
    for document in documents("base", "overlays/local", "components/fetch-models"):
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        for container in (*pod.get("initContainers", []), *pod.get("containers", [])):
            assert container["name"] not in found
            found[container["name"]] = container
    return found


CONTAINERS = containers()


def literals() -> dict[str, set[str]]:
    """Return the keys of each Secret of the local overlay."""
    text = (ROOT / "knative/overlays/local/kustomization.yaml").read_text()
    return {
        secret["name"]: {literal.partition("=")[0] for literal in secret["literals"]}
        for secret in yaml.safe_load(text)["secretGenerator"]
    }


def mounted(container: dict[str, Any]) -> set[str]:
    """Return the names of the variables that a container gets from Secrets."""
    names = {
        key
        for source in container.get("envFrom", [])
        if "secretRef" in source
        for key in literals()[source["secretRef"]["name"]]
    }
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            assert reference["key"] in literals()[reference["name"]]
            names.add(variable["name"])
    return names


def test_every_container_is_a_component_or_a_server() -> None:
    assert CONTAINERS.keys() == SETTINGS.keys() | SERVERS.keys() | JOBS.keys()


@pytest.mark.parametrize("component", SETTINGS)
def test_a_component_gets_the_secrets_that_it_declares(component: str) -> None:
    assert mounted(CONTAINERS[component]) == secrets_of(component)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_gets_its_own_secrets(server: str) -> None:
    assert mounted(CONTAINERS[server]) == SERVERS[server]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_gets_its_own_secrets(job: str) -> None:
    assert mounted(CONTAINERS[job]) == JOBS[job]


def test_no_secret_is_mounted_as_a_file() -> None:
    """Then it would be in no list of variables, and these tests would not see it."""
    for document in documents(*FOLDERS):
        volumes = document.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", [])
        assert not [volume for volume in volumes if {"secret", "projected"} & volume.keys()]


def test_the_shared_settings_hold_no_secret() -> None:
    secrets = {name for component in SETTINGS for name in secrets_of(component)}
    for file in Path(ROOT / "knative").rglob("settings.yaml"):
        settings = yaml.safe_load(file.read_text())
        if isinstance(settings, dict):
            assert secrets.isdisjoint(settings.get("data", {}))
