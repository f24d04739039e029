"""A real store and a real bus, and what the function has of them, with its own rights."""

import io
import os
from collections.abc import Callable, Iterator

import pytest
from minio import Minio

from functions.separate.context import Context
from functions.separate.engine.locate import OpenBucket
from functions.separate.engine.registry import ModelRegistry
from functions.separate.job import Job
from functions.separate.settings import ModelSettings
from microdemucs import shutdown, store
from microdemucs.bucket import Bucket
from microdemucs.bus import JOBS, Bus
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, job_id
from microdemucs.store import read_json
from testing.stack import Stack, running_stack
from tests.integration.separate.asked import Put, unlike

# Threads of torch that share a core with another test's wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """NATS and MinIO, provisioned."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def settings(stack: Stack) -> dict[str, str]:
    """The settings of the separate function."""
    return stack.connection("separate") | {"MODEL": "htdemucs_tiny"}


@pytest.fixture(scope="session")
def root(stack: Stack) -> Minio:
    """The store, as the one who may do everything there."""
    return store.connect(stack.store_settings("provision"))


@pytest.fixture(scope="session")
def client(stack: Stack) -> Minio:
    """The store, with the function's own rights."""
    return store.connect(stack.store_settings("separate"))


@pytest.fixture(scope="session")
def open_models_bucket(client: Minio) -> OpenBucket:
    """The bucket of models, as the function opens it."""
    return lambda: Bucket(client, "models")


@pytest.fixture(scope="session")
def models(
    open_models_bucket: OpenBucket, tmp_path_factory: pytest.TempPathFactory
) -> ModelRegistry:
    """The models as the function finds them; the bundled one is the default."""
    settings = ModelSettings(cache=tmp_path_factory.mktemp("models"), default="htdemucs_tiny")
    return ModelRegistry(settings, open_models_bucket)


@pytest.fixture(scope="session")
def bus(stack: Stack) -> Iterator[Bus]:
    """The bus, with the function's own rights."""
    bus = Bus(stack.bus_settings("separate"), "tests")
    yield bus
    bus.close()


@pytest.fixture
def context(client: Minio, models: ModelRegistry, bus: Bus) -> Iterator[Context]:
    """What the function has in its process. Nothing is stopping, then and afterwards."""
    yield Context(
        Bucket(client, "stems"),
        bus,
        models,
        max_song_bytes=50_000_000,
        max_song_seconds=60,
        grace_seconds=5,
    )
    shutdown.stopping.clear()


@pytest.fixture
def put(root: Minio, request: pytest.FixtureRequest) -> Put:
    """Put a song under the test's own name, and give the job that its event asks for."""

    def put(data: bytes, key: str = "song.wav", bucket: str = "songs", **metadata: str) -> Job:
        key = f"{request.node.name}/{key}"
        metadata = {name.replace("_", "-"): value for name, value in metadata.items()}
        answer = root.put_object(bucket, key, io.BytesIO(data), len(data), metadata=metadata)
        there = root.stat_object(bucket, key)
        song = ObjectCreated(
            bucket,
            key,
            len(data),
            answer.etag,
            version=answer.version_id or "",
            time=there.last_modified.isoformat(),
            metadata=metadata,
        )
        return Job(job_id(song), song, "0" * 31 + "1", metadata.get("callback", ""))

    return put


@pytest.fixture
def song(request: pytest.FixtureRequest) -> bytes:
    return unlike(request)


@pytest.fixture
def beside(root: Minio) -> Callable[[Job], dict[str, str]]:
    """What lies beside a job's song: name → eTag."""

    def beside(job: Job) -> dict[str, str]:
        prefix = f"{job.song.key}/"
        found = root.list_objects("stems", prefix, recursive=True)
        return {one.object_name.removeprefix(prefix): one.etag for one in found}

    return beside


@pytest.fixture
def manifest(root: Minio) -> Callable[[Job], dict]:
    return lambda job: read_json(root, "stems", f"{job.song.key}/manifest.json")


@pytest.fixture
def failure(root: Minio) -> Callable[[Job], dict]:
    return lambda job: read_json(root, "stems", f"{job.song.key}/failure.json")


@pytest.fixture
def record(bus: Bus) -> Callable[[Job], JobRecord]:
    return lambda job: JobRecord.read(bus.get(JOBS, job.id).value)
