"""The clients of a campaign: they send songs, and repeat a request until it is accepted."""

import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlencode

import urllib3
from minio import Minio

from microdemucs.bucket import Bucket
from microdemucs.problems import RetryLater
from microdemucs.store import ObjectChanged
from testing.faults.components import FaultStack
from testing.faults.plan import Song, Way
from testing.faults.recipes import RECIPES, Recipe
from testing.faults.timeline import Timeline

_AGAIN_S = 0.5
_TIMEOUT = urllib3.Timeout(connect=2, read=15)


@dataclass(slots=True)
class Sent:
    """A song that is on its way. `options` are those of the last request that was accepted.

    `attempts` counts the requests, those without an answer too: each may have been accepted.
    """

    song: Song
    recipe: Recipe
    key: str
    options: Mapping[str, str]
    attempts: int = 0
    is_accepted: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def callback_path(self) -> str:
        """The path at the receiver of this song's callback, or ""."""
        return f"/callback/{self.song.number}" if self.song.way == Way.CALLBACK else ""


class Clients:
    """Sends songs as the store's root and by the REST API."""

    def __init__(self, stack: FaultStack, timeline: Timeline) -> None:
        self._stack = stack
        self._timeline = timeline
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False, maxsize=16)
        settings = stack.store_settings("provision")
        client = Minio(
            settings.url.partition("://")[2],
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            secure=False,
            region=settings.region,
            http_client=self._pool,
        )
        self.songs, self.stems = Bucket(client, "songs"), Bucket(client, "stems")
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Give up what is not accepted yet."""
        self._stopped.set()

    def prepare(self, song: Song) -> tuple[Sent, bytes]:
        """Return the song's key and file before it is sent."""
        recipe = RECIPES[song.recipe]
        body = recipe.body(song.number)
        is_by_api = song.way == Way.CALLBACK
        key = f"{sha256(body).hexdigest()}.mp3" if is_by_api else song.name
        return Sent(song, recipe, key, recipe.options), body

    def send(self, sent: Sent, body: bytes) -> None:
        """Send the song at its time, once or twice, and return when it is accepted."""
        self._stopped.wait(sent.song.offset)
        self._timeline.add("song sent", key=sent.key, way=sent.song.way)
        if sent.song.way == Way.CALLBACK:
            self._post(sent, body)
        else:
            self._put(sent, body)
        if sent.song.way == Way.TWICE:
            self._put(sent, body)
        elif sent.song.way == Way.OTHER_OPTIONS:
            self._stopped.wait(1.0)
            sent.options = sent.recipe.other_options or {}
            self._put(sent, body)
        sent.is_accepted = True
        self._timeline.add("song accepted", key=sent.key, attempts=sent.attempts)

    def remove(self, sent: Sent) -> None:
        """Remove the song and its results, as a client does who has fetched them."""
        self.songs.remove(sent.key)
        self.stems.remove_prefix(f"{sent.key}/")

    def _put(self, sent: Sent, body: bytes) -> None:
        while not self._stopped.is_set():
            sent.attempts += 1
            try:
                file, size = io.BytesIO(body), len(body)
                self.songs.put(sent.key, file, size, "audio/mpeg", sent.options)
            except (RetryLater, ObjectChanged):
                self._stopped.wait(_AGAIN_S)
            else:
                return

    def _post(self, sent: Sent, body: bytes) -> None:
        url = f"http://127.0.0.1:{self._stack.receiver_port}{sent.callback_path}"
        query = urlencode({**sent.options, "callback": url})
        headers = {
            "Content-Type": "application/octet-stream",
            "Idempotency-Key": f'"song-{sent.song.number}"',
        }
        address = f"{self._stack.environment.upload_url}/apiv1/separate?{query}"
        while not self._stopped.is_set():
            sent.attempts += 1
            try:
                response = self._pool.request("POST", address, body=body, headers=headers)
            except (OSError, urllib3.exceptions.HTTPError):
                self._stopped.wait(_AGAIN_S)
                continue
            if response.status == 200:
                return
            if response.status not in (408, 409, 425, 429) and response.status < 500:
                sent.errors.append(f"upload answered {response.status}: {response.data!r}")
                return
            self._stopped.wait(_AGAIN_S)
