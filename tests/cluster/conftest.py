"""One installation for all tests here, on the cluster that KUBECONFIG names."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from testing import installation
from testing.cluster_service import Service
from testing.kube import pods
from testing.waiting import wait_until


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The overlay `eventing`, which is `local` with a Broker, with a receiver beside it."""
    try:
        with installation.installed(installation.full_model()):
            yield Service()
    except SystemExit as why:
        pytest.exit(str(why), 2)


@pytest.fixture
def whole(service: Service) -> Service:
    """The same; no pod of separate is at work for the last test."""
    wait_until(lambda: not pods("separate"), 180, "separate at zero pods")
    service.forget()
    return service


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """What the parts said goes with a failure."""
    report = yield
    if report.when == "call" and report.failed:
        for part, logs in installation.logs().items():
            report.sections.append((f"log of {part}", logs))
    return report
