"""What must hold when the stack is quiet after a round. Each check returns what is wrong."""

import asyncio
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nats
import nats.errors
import nats.js.errors
import soundfile
import urllib3

from microdemucs.bucket import user_metadata
from microdemucs.events import COMPLETED, FAILED
from microdemucs.manifest import FAILURE, MANIFEST, Failure, Manifest
from microdemucs.options import BadOption, Options, option_metadata
from microdemucs.problems import RetryLater
from microdemucs.result_store import read_failure, read_manifest
from microdemucs.store import ObjectChanged
from testing.faults.clients import Clients, Sent
from testing.faults.components import PROCESSES, FaultStack
from testing.faults.deliveries import Deliveries
from testing.faults.plan import Way

Result = dict[str, str]
"""A digest of the samples of each stem, by its file name; or the type of the problem."""

_DOCUMENTS = (MANIFEST, FAILURE)
_MEMORY_FACTOR, _MEMORY_MARGIN = 1.5, 100 * 2**20
AWAY = (RetryLater, ObjectChanged, OSError, nats.errors.Error, urllib3.exceptions.HTTPError)
"""What is raised if a check cannot be made because something does not answer."""


class Checks:
    """Checks of a stack. `references` are the results of an undisturbed run."""

    def __init__(self, stack: FaultStack, clients: Clients, deliveries: Deliveries) -> None:
        self._stack = stack
        self._clients = clients
        self._deliveries = deliveries
        self.references: dict[tuple[str, str], Result] = {}
        self._memory: dict[str, int] = {}
        self.beyond_repair: list[str] = []
        """What no time will heal."""

    def unfinished(self, songs: Iterable[Sent]) -> list[str]:
        """Return what is still on its way, or wrong. Raises one of AWAY."""
        listed = list(songs)
        self._deliveries.read_new()
        return [
            *(f"process {name} has ended by itself" for name in self._stack.ended()),
            *(error for sent in listed for error in sent.errors),
            *(f"{sent.key} is not accepted" for sent in listed if not sent.is_accepted),
            *self._objects(listed),
            *self._records(),
            *self._bus(),
            *(self._stack.network.unsent() if self._stack.network else []),
            *(problem for sent in listed for problem in self._events(sent)),
            *self._deliveries.problems,
            *self.beyond_repair,
        ]

    def results(self, songs: Iterable[Sent]) -> list[str]:
        """Return which songs have another result than the undisturbed run, which no time heals.

        Raises one of AWAY.
        """
        problems = []
        for sent in songs:
            expected = self.references[reference_of(sent, self._sent_options(sent))]
            result = self.result(sent.key)
            if result != expected:
                problems.append(f"{sent.key}: result {result}, undisturbed {expected}")
        self.beyond_repair += problems
        return problems

    def result(self, key: str) -> Result | None:
        """Return the result of the song `key`, if it has one. Raises one of AWAY."""
        document = self._document(key)
        if isinstance(document, Failure):
            return {"problem": str(document.problem.get("type"))}
        if document is None:
            return None
        result = {}
        for stem in document.stems:
            data = self._clients.stems.read(stem.key) or b""
            if len(data) != stem.size:
                result[stem.file] = f"{len(data)} bytes instead of {stem.size}"
                continue
            audio, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
            digest = hashlib.sha256(audio.tobytes()).hexdigest()[:16]
            result[stem.file] = f"{len(audio)} samples at {rate} Hz, {digest}"
        return result

    def measure_memory(self) -> dict[str, int]:
        """Remember how much memory each process uses now, as what it may come back to."""
        self._memory = {name: self._stack.memory(name) for name in PROCESSES}
        return self._memory

    def memory(self) -> list[str]:
        """Return which processes use much more memory than when it was measured."""
        problems = []
        for name, before in self._memory.items():
            now, allowed = self._stack.memory(name), before * _MEMORY_FACTOR + _MEMORY_MARGIN
            if now > allowed:
                problems.append(
                    f"{name} uses {now >> 20} MiB of memory, {before >> 20} MiB at the start"
                )
        return problems

    def multipart_uploads(self) -> list[str]:
        """Return the uploads that were begun, and neither completed nor removed."""
        uploads = self._stack.store_folder / ".minio.sys" / "multipart"
        return [
            f"multipart upload {path.parent.name} is left" for path in uploads.glob("*/*/xl.meta")
        ]

    def _document(self, key: str) -> Manifest | Failure | None:
        stems = self._clients.stems
        return read_manifest(stems, key) or read_failure(stems, key)

    def _sent_options(self, sent: Sent) -> Mapping[str, str]:
        """Return the options that the song in the bucket carries: those of the last request."""
        return user_metadata(self._clients.songs.stat(sent.key))

    def _objects(self, songs: list[Sent]) -> list[str]:
        """Each song has exactly one result document, and nothing else is in the output bucket."""
        keys = {found.object_name or "" for found in self._clients.stems.list()}
        problems = []
        expected: set[str] = set()
        for sent in songs:
            documents = {f"{sent.key}/{name}" for name in _DOCUMENTS} & keys
            if len(documents) != 1:
                problems.append(f"{sent.key} has {len(documents)} result documents")
                continue
            document = self._document(sent.key)
            expected |= documents
            if isinstance(document, Manifest):
                expected |= document.objects.keys()
                problems += self._wrong_options(sent, document)
        problems += [f"object {key} is left" for key in sorted(keys - expected)][:10]
        put = {found.object_name or "" for found in self._clients.songs.list()}
        gone = {sent.key for sent in songs if sent.is_accepted} - put
        back = put - {sent.key for sent in songs}
        problems += [f"song {key} is gone" for key in sorted(gone)]
        return problems + [f"song {key} is back" for key in sorted(back)]

    def _wrong_options(self, sent: Sent, manifest: Manifest) -> list[str]:
        try:
            expected = Options.of_metadata(self._sent_options(sent)).changed()
        except BadOption:
            return [f"{sent.key} has a manifest although its options are bad"]
        if manifest.options != expected:
            return [f"{sent.key} has a manifest of {manifest.options}, last sent {expected}"]
        return []

    def _records(self) -> list[str]:
        """No job waits or runs."""
        url = f"{self._stack.environment.upload_url}/apiv1/jobs?state=waiting,running"
        response = urllib3.request("GET", url, timeout=5.0, retries=False)
        if response.status != 200:
            return [f"upload answers {response.status}"]
        return [
            f"job {job['id']} of {job['key']} is {job['state']}" for job in response.json()["jobs"]
        ]

    def _events(self, sent: Sent) -> list[str]:
        """The webhook and the callback got the song's result, each with one id per event."""
        document = self._document(sent.key)
        if document is None:
            return [f"{sent.key} has no result"]
        type_ = COMPLETED if isinstance(document, Manifest) else FAILED
        problems = []
        for path in filter(None, ("/webhook", sent.callback_path)):
            ids = self._deliveries.ids_of(path, type_, document.job)
            # Sending the song again is a new event if the job failed, or has a callback.
            is_repeated = type_ == FAILED or sent.song.way == Way.CALLBACK
            allowed = max(sent.attempts, 1) if is_repeated else 1
            if not ids:
                problems.append(f"{path} has not got the result of {sent.key}")
            elif len(ids) > allowed:
                self.beyond_repair.append(
                    f"{path} got the result of {sent.key} with {len(ids)} ids, allowed: {allowed}"
                )
        return problems

    def _bus(self) -> list[str]:
        """All streams are drained, nothing is a dead letter, and no song has a lease."""
        settings = self._stack.bus_settings("provision")

        async def main() -> list[str]:
            client = await nats.connect(
                settings.url,
                user=settings.user,
                password=settings.password,
                inbox_prefix=f"_INBOX_{settings.user}",
                allow_reconnect=False,
                connect_timeout=2,
                error_cb=_ignore,
            )
            try:
                return await _busy_streams(client)
            finally:
                await client.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, main()).result()


async def _busy_streams(client: Any) -> list[str]:
    js = client.jetstream(timeout=5)
    problems = []
    for stream in await js.streams_info():
        name = stream.config.name
        if name.startswith("KV_"):
            continue
        if name == "DEAD" and stream.state.messages:
            message = await js.get_last_msg(name, "dead.>")
            problems.append(f"{stream.state.messages} dead letters, the last: {message.headers}")
        has_no_consumer = name in ("OUTBOX", "DELIVERIES", "QUEUE")
        if has_no_consumer and stream.state.messages:
            problems.append(f"{stream.state.messages} messages of {name} are not done")
        for consumer in await js.consumers_info(name):
            pending = consumer.num_pending + consumer.num_ack_pending
            if pending:
                problems.append(f"{pending} messages of {name} wait for {consumer.name}")
    subjects = (await js.stream_info("KV_leases", subjects_filter=">")).state.subjects or {}
    # The bridge has the lease `deliveries` for as long as it lives.
    for subject in subjects.keys() - {"$KV.leases.deliveries", "$KV.leases.songs"}:
        try:
            message = await js.get_last_msg("KV_leases", subject)
        except nats.js.errors.NotFoundError:
            continue
        if message.data:
            problems.append(f"lease {subject} of {message.data.decode()}")
    return problems


async def _ignore(_: Exception) -> None:
    """Errors of a connection are raised where it is used."""


def reference_of(sent: Sent, options: Mapping[str, str]) -> tuple[str, str]:
    """Return the key in `references` of a song that was sent with these options."""
    return sent.recipe.name, json.dumps(option_metadata(options), sort_keys=True)
