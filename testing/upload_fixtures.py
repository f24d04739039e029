"""Fixtures of all tests of the upload function: a real store and bus, and a writer of jobs."""

from collections.abc import Iterator

import pytest

from testing.job_writer import JobWriter
from testing.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """NATS and MinIO, provisioned."""
    # Any origin: each test may serve the page at a port of its own, and browsers upload from there.
    settings = {"MINIO_API_CORS_ALLOW_ORIGIN": "*"}
    with running_stack(tmp_path_factory.mktemp("stack"), **settings) as stack:
        yield stack


@pytest.fixture(scope="session")
def job_writer(stack: Stack) -> Iterator[JobWriter]:
    """Writes jobs and stems as the separate function does."""
    writer = JobWriter.connect(stack)
    yield writer
    writer.bus.close()
