"""One installation for all tests here, on the cluster that KUBECONFIG names."""

from collections.abc import Iterator

import pytest

from tests.cluster import installation
from tests.cluster.service import Service


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
    """The same; nothing is on its way, and no pod of separate is left of the last test."""
    installation.at_zero()
    service.forget()
    return service
