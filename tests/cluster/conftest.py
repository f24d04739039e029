"""One installation for all tests of this folder, on the cluster that KUBECONFIG names."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from testing.cluster import installation
from testing.cluster.kubectl import pods
from testing.cluster.service import Service
from testing.waiting import wait_until


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The overlay `eventing`: `local` with a Broker; and a webhook receiver."""
    try:  # most tests begin when the pods of earlier ones have ended
        with installation.installed(installation.full_model(), scale_down_delay="5s"):
            yield Service()
    except SystemExit as error:
        pytest.exit(str(error), 2)


@pytest.fixture
def idle_service(service: Service) -> Service:
    """The service without a running pod of separate, and with no webhooks of earlier tests."""
    wait_until(lambda: not pods("separate"), 180, "separate has no running pod")
    service.forget_webhooks()
    return service


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Add the components' logs to the report of a failure."""
    report = yield
    if report.when == "call" and report.failed:
        for component, logs in installation.logs().items():
            report.sections.append((f"log of {component}", logs))
    return report
