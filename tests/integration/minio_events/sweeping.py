"""Both buckets with what a test puts there, and a sweep that looks at them."""

import io
import json

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

from microdemucs.events import ObjectCreated
from microdemucs.jobs import job_id, song_digest
from microdemucs.problems import now
from microdemucs.settings import StoreSettings
from minio_events.sweep import Sweep

STREAMS = ("SONGS", "STEMS", "DEAD", "KV_jobs", "KV_told", "KV_results")
NOTHING = {"songs": 0, "results": 0, "records": 0}


class Counting(urllib3.PoolManager):
    """Remembers what the store was asked."""

    def __init__(self):
        super().__init__(retries=False, timeout=20)
        self.asked = []

    def urlopen(self, method, url, **more):
        """As the pool's."""
        self.asked.append(f"{method} {urllib3.util.parse_url(url).path}")
        return super().urlopen(method, url, **more)


class Sweeping:
    """A machine whose store notifies nobody, so that everything is lost until the sweep looks.

    The sweep is the events user everywhere, and remembers from one look to the next.
    """

    def __init__(self, one):
        self.machine = one
        self.store = one.store
        variables = one.environment.for_component("events")
        self.pool = Counting()
        self._keys = variables["STORE_ACCESS_KEY"], variables["STORE_SECRET_KEY"]
        self._there = Minio(
            one.environment.store_url.removeprefix("http://"),
            *self._keys,
            secure=False,
            region="us-east-1",
            http_client=self.pool,
        )
        self._sweep = None

    def clear(self):
        """Nothing is in the buckets and on the bus."""
        for bucket in ("songs", "stems"):
            self.store.delete_bucket_notification(bucket)
            keys = [o.object_name for o in self.store.list_objects(bucket, recursive=True)]
            assert not list(self.store.remove_objects(bucket, map(DeleteObject, keys)))
        self.forget(*STREAMS)

    def forget(self, *streams):
        """These streams are empty: what was on its way is gone."""

        async def purge(client):
            for stream in streams:
                await client.jetstream().purge_stream(stream)

        self.machine.on_bus("provision", purge)

    def look(self):
        """Look once; how many of each were found."""
        settings = StoreSettings(self.machine.environment.store_url, "", *self._keys)

        async def main(client):
            if not self._sweep:
                self._sweep = Sweep(client, self._there, settings)
            self._sweep._client, self._sweep._js = client, client.jetstream()
            return await self._sweep.look()

        return self.machine.on_bus("events", main)

    def put(self, key, body=b"music", **metadata):
        """A song in the bucket, as a notification would tell of it."""
        said = {name.replace("_", "-"): value for name, value in metadata.items()}
        self.store.put_object(
            "songs", key, io.BytesIO(body), len(body), "audio/mpeg", metadata=said or None
        )
        there = self.store.stat_object("songs", key)
        return ObjectCreated("songs", key, len(body), there.etag, metadata=said)

    def mark(self, song, name="manifest.json", more=()):
        """What the separate function puts beside `song`, with `more` members; its eTag."""
        document = {
            "job": job_id(song),
            "trace": "0" * 31 + "1",
            "song": {"bucket": "songs", "key": song.key, "etag": song.etag, "version": ""},
            "options": {},
            "created": now(),
            "started": now(),
            "finished": now(),
        }
        if name == "manifest.json":
            document["song"] |= {"sha256": "5" * 64, "seconds": 3.0}
            document |= {"model": {"name": "m"}, "stems": [{"key": f"{song.key}/drums.mp3"}]}
        body = json.dumps(document | dict(more)).encode()
        return self.store.put_object(
            "stems", f"{song.key}/{name}", io.BytesIO(body), len(body)
        ).etag

    def kv(self, bucket, name, value=None):
        """Write `value`; without one, read."""

        async def do(client):
            there = await client.jetstream().key_value(bucket)
            return await (there.get(name) if value is None else there.put(name, value))

        return self.machine.on_bus("events", do)

    def told(self, song, etag):
        """The sink has been told of the mark beside `song`."""
        self.kv("told", song_digest(song.key), etag.encode())

    def sent(self, stream):
        """What is on the bus."""

        async def read(client):
            js = client.jetstream()
            state = (await js.stream_info(stream)).state
            first, end = state.first_seq, state.last_seq + 1
            return [(await js.get_msg(stream, number)).data for number in range(first, end)]

        return self.machine.on_bus("provision", read)

    def settled(self, song, **more):
        """`song` with all that belongs to it: nothing is to be found."""
        self.told(song, self.mark(song, **more))
        self.look()
