"""A real store and a real bus, and the function's context with the function's own rights."""

from collections.abc import Iterator

import pytest
from minio import Minio
from nats.aio.client import Client

from functions.separate.context import Context
from functions.separate.engine.locate import OpenBucket
from functions.separate.engine.registry import ModelRegistry
from functions.separate.engine.settings import ModelSettings
from functions.separate.job import Job
from functions.separate.publish_models import ModelsPublisher
from microdemucs import result_store, shutdown, store
from microdemucs.bucket import Bucket
from microdemucs.bus import FINISHED_SUBJECT, JOBS, Bus
from microdemucs.jobs import JobRecord, job_id
from microdemucs.manifest import Failure, Manifest
from microdemucs.messages import Finished
from testing.objects import put_song
from testing.stack import Stack, running_stack
from testing.waiting import wait_until
from tests.integration.separate.jobs import (
    PutSong,
    ReadFailure,
    ReadFinished,
    ReadManifest,
    ReadObjects,
    ReadRecord,
    unique_song,
)


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
    """The store, with all rights."""
    return store.connect(stack.store_settings("provision"))


@pytest.fixture(scope="session")
def client(stack: Stack) -> Minio:
    """The store, with the function's own rights."""
    return store.connect(stack.store_settings("separate"))


@pytest.fixture(scope="session")
def stems(client: Minio) -> Bucket:
    """The output bucket, with the function's own rights."""
    return Bucket(client, "stems")


@pytest.fixture(scope="session")
def open_models_bucket(client: Minio) -> OpenBucket:
    """Opens the bucket of models, as the function does."""
    return lambda: Bucket(client, "models")


@pytest.fixture(scope="session")
def models(
    open_models_bucket: OpenBucket, tmp_path_factory: pytest.TempPathFactory
) -> ModelRegistry:
    """The models of the function; the bundled one is the default."""
    settings = ModelSettings(cache=tmp_path_factory.mktemp("models"), default="htdemucs_tiny")
    return ModelRegistry(settings, open_models_bucket)


@pytest.fixture(scope="session")
def bus(stack: Stack) -> Iterator[Bus]:
    """The bus, with the function's own rights."""
    bus = Bus(stack.bus_settings("separate"), "tests")
    wait_until(lambda: bus.is_up, 60, "the bus is connected")
    yield bus
    bus.close()


@pytest.fixture
def context(
    stems: Bucket, models: ModelRegistry, bus: Bus, open_models_bucket: OpenBucket
) -> Iterator[Context]:
    """What the function has in its process. After the test, nothing is stopping."""
    yield Context(
        stems,
        bus,
        models,
        ModelsPublisher(models, open_models_bucket()),
        max_song_bytes=50_000_000,
        max_song_seconds=60,
        grace_seconds=5,
    )
    shutdown.stopping.clear()


@pytest.fixture
def put(root: Minio, request: pytest.FixtureRequest) -> PutSong:
    """Puts a song under the test's own name, and returns the job that its event requests."""

    def put(data: bytes, key: str = "song.wav", bucket: str = "songs", **metadata: str) -> Job:
        key = f"{request.node.name}/{key}"
        song = put_song(root, key, data, bucket=bucket, metadata=metadata)
        return Job(job_id(song), song, "0" * 31 + "1", metadata.get("callback", ""))

    return put


@pytest.fixture
def song(request: pytest.FixtureRequest) -> bytes:
    """A song that no other test has."""
    return unique_song(request)


@pytest.fixture
def objects(root: Minio) -> ReadObjects:
    """Returns the objects beside a job's song, name → eTag."""

    def objects(job: Job) -> dict[str, str]:
        prefix = f"{job.song.key}/"
        return {
            str(found.object_name).removeprefix(prefix): str(found.etag)
            for found in root.list_objects("stems", prefix, recursive=True)
        }

    return objects


@pytest.fixture
def manifest(stems: Bucket) -> ReadManifest:
    """Returns the manifest beside a job's song, which must exist."""

    def manifest(job: Job) -> Manifest:
        found = result_store.read_manifest(stems, job.song.key)
        assert found, f"{job.song.key} has no manifest"
        return found

    return manifest


@pytest.fixture
def failure(stems: Bucket) -> ReadFailure:
    """Returns the failure beside a job's song, which must exist."""

    def failure(job: Job) -> Failure:
        found = result_store.read_failure(stems, job.song.key)
        assert found, f"{job.song.key} has no failure"
        return found

    return failure


@pytest.fixture
def record(bus: Bus) -> ReadRecord:
    """Returns the record of a job, which must exist."""

    def record(job: Job) -> JobRecord:
        entry = bus.get(JOBS, job.id)
        assert entry, f"{job.id} has no record"
        assert entry.value
        return JobRecord.read(entry.value)

    return record


@pytest.fixture
def finished(stack: Stack) -> ReadFinished:
    """Returns the messages for the callbacks of a job, oldest first."""

    async def read(client: Client) -> list[Finished]:
        stream = client.jetstream()
        state = (await stream.stream_info("STEMS")).state
        numbers = range(state.first_seq, state.last_seq + 1) if state.messages else ()
        messages = [await stream.get_msg("STEMS", number) for number in numbers]
        subject = FINISHED_SUBJECT
        return [Finished.read(each.data or b"") for each in messages if each.subject == subject]

    def finished(job: Job) -> list[Finished]:
        messages: list[Finished] = stack.on_bus("provision", read)
        return [message for message in messages if message.job == job.id]

    return finished
