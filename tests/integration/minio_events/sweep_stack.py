"""Both buckets of a stack, what a test puts there, and a sweep that compares them."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from nats.aio.client import Client
from nats.js.kv import KeyValue

from microdemucs.bucket import Bucket
from microdemucs.events import ObjectCreated
from microdemucs.jobs import job_id, song_digest
from microdemucs.manifest import Failure, Manifest, ModelInfo, SeparatedSong, StemEntry, StoredSong
from microdemucs.problems import now
from minio_events.connection import connect
from minio_events.settings import SweepSettings
from minio_events.sweep import Sweep
from testing.objects import put_song
from testing.stack import Stack
from testing.waiting import wait_until
from tests.integration.minio_events.stored_messages import stored_messages

STREAMS = ("SONGS", "QUEUE", "STEMS", "DEAD", "KV_jobs", "KV_notified", "KV_results")
NOTHING = {"songs": 0, "results": 0, "records": 0, "removed": 0}
_T = TypeVar("_T")


class RecordingPool(urllib3.PoolManager):
    """Records the requests to the store, such as "GET /songs"."""

    def __init__(self) -> None:
        super().__init__(retries=False, timeout=20)
        self.requests: list[str] = []

    def urlopen(self, method: str, url: str, *args: Any, **more: Any) -> Any:
        """Send a request."""
        self.requests.append(f"{method} {urllib3.util.parse_url(url).path}")
        return super().urlopen(method, url, *args, **more)


class SweepStack:
    """A stack whose store notifies nobody, so that everything is lost until a sweep finds it.

    `sweep` is one Sweep for all its life, so it remembers what needs no second look.
    """

    def __init__(self, stack: Stack, *, grace_seconds: float = 0, notify_hours: float = 24) -> None:
        self.stack = stack
        self.store = stack.store
        self.pool = RecordingPool()
        self._settings = SweepSettings(
            store=stack.store_settings("sweep"),
            grace_seconds=grace_seconds,
            notify_hours=notify_hours,
        )
        # One event loop for the sweep's connection, in a thread of its own.
        self._thread = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()
        self._client = self._run(connect(stack.bus_settings("sweep"), "sweep"))
        self._sweep = self._run(self._make_sweep())

    def close(self) -> None:
        """End the connection to the bus."""
        self._run(self._client.close())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def sweep(self) -> dict[str, int]:
        """Sweep once; return the number of repairs of each kind."""
        return self._run(self._sweep.run())

    def clear(self) -> None:
        """Empty the buckets and the bus, and remove the notification rules."""
        for bucket in ("songs", "stems"):
            self.store.delete_bucket_notification(bucket)
            keys = [o.object_name for o in self.store.list_objects(bucket, recursive=True)]
            assert not list(self.store.remove_objects(bucket, map(DeleteObject, keys)))
        wait_until(self.stack.has_notified_all, what="the store has notified all")
        self.purge(*STREAMS)

    def purge(self, *streams: str) -> None:
        """Empty these streams."""

        async def purge(client: Client) -> None:
            for stream in streams:
                await client.jetstream().purge_stream(stream)

        self.stack.on_bus("provision", purge)

    def put_song(self, key: str, body: bytes = b"music", **metadata: str) -> ObjectCreated:
        """Put a song into the bucket; return it as a notification would describe it."""
        return put_song(self.store, key, body, metadata=metadata)

    def put_manifest(self, song: ObjectCreated) -> str:
        """Write the manifest of the song's job; return its eTag."""
        return self.put_result(song, "manifest.json", manifest_of(song).write())

    def put_failure(self, song: ObjectCreated, kind: str = "not-audio", **members: str) -> str:
        """Write the failure of the song's job, and return its eTag."""
        return self.put_result(song, "failure.json", failure_of(song, kind, **members).write())

    def put_result(self, song: ObjectCreated, name: str, body: bytes) -> str:
        """Write a result document; return its eTag."""
        result = Bucket(self.store, "stems").write(f"{song.key}/{name}", body, "application/json")
        return result.etag or ""

    def settle(self, song: ObjectCreated) -> None:
        """Write everything that belongs to a separated song, and sweep."""
        self.set_notified(song, self.put_manifest(song))
        self.sweep()

    def set_notified(self, song: ObjectCreated, etag: str) -> None:
        """Record that the sink accepted the song's result document with this eTag."""
        self.write_entry("notified", song_digest(song.key), etag.encode())

    def read_entry(self, bucket: str, key: str) -> bytes:
        """Return the value at `key` of a key-value bucket."""

        async def read(entries: KeyValue) -> bytes:
            return (await entries.get(key)).value or b""

        return self._on_entries(bucket, read)

    def write_entry(self, bucket: str, key: str, value: bytes) -> None:
        """Write a value of a key-value bucket."""

        async def write(entries: KeyValue) -> int:
            return await entries.put(key, value)

        self._on_entries(bucket, write)

    def publish(self, subject: str, body: bytes) -> None:
        """Publish a message as the bridge does."""

        async def send(client: Client) -> None:
            await client.jetstream().publish(subject, body)

        self.stack.on_bus("tests", send)

    def messages(self, stream: str) -> list[bytes]:
        """Return all messages of a stream."""

        messages = stored_messages(self.stack, stream)
        return [message.data or b"" for message in messages]

    def _on_entries(self, bucket: str, use: Callable[[KeyValue], Coroutine[Any, Any, _T]]) -> _T:
        async def run(client: Client) -> _T:
            return await use(await client.jetstream().key_value(bucket))

        result: _T = self.stack.on_bus("tests", run)
        return result

    async def _make_sweep(self) -> Sweep:
        store = self._settings.store
        client = Minio(
            store.url.removeprefix("http://"),
            store.access_key,
            store.secret_key,
            secure=False,
            region=store.region,
            http_client=self.pool,
        )
        songs, stems = Bucket(client, store.songs), Bucket(client, store.stems)
        return Sweep(self._client, songs, stems, self._settings)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._thread.submit(self._runner.run, work).result()


def manifest_of(song: ObjectCreated) -> Manifest:
    """Return the manifest that the separate function writes for `song`."""
    return Manifest(
        song=SeparatedSong(
            bucket="songs", key=song.key, etag=song.etag, sha256="5" * 64, seconds=3.0
        ),
        stems=[StemEntry("drums", f"{song.key}/drums.mp3", 5, "audio/mpeg")],
        model=ModelInfo("m"),
        **_about_the_job(song),
    )


def failure_of(song: ObjectCreated, kind: str, **members: str) -> Failure:
    """Return the failure that the separate function writes for `song`."""
    return Failure(
        problem={"type": f"urn:micro-demucs:problem:{kind}", "title": "No", **members},
        song=StoredSong(bucket="songs", key=song.key, etag=song.etag),
        **_about_the_job(song),
    )


def without(document: Manifest, *members: str) -> bytes:
    """Return the document without these members: it cannot be read."""
    content = msgspec.json.decode(document.write())
    return msgspec.json.encode({k: v for k, v in content.items() if k not in members})


def _about_the_job(song: ObjectCreated) -> dict[str, Any]:
    return {
        "job": job_id(song),
        "trace": "0" * 31 + "1",
        "options": {},
        "created": now(),
        "started": now(),
        "finished": now(),
    }
