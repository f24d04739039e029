"""What the separate function would have done: records, stems and manifests, for real stores."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from minio import Minio

from microdemucs import store
from microdemucs.bus import JOBS, Bus
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, JobState
from microdemucs.manifest import manifest_key
from testing.stack import Stack

STEMS = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True, slots=True)
class Separation:
    """The part of the separate function: it writes jobs, stems and manifests."""

    bus: Bus
    store: Minio

    @staticmethod
    def at(stack: Stack) -> "Separation":
        return Separation(
            Bus(stack.bus_settings("separate"), "tests"),
            store.connect(stack.store_settings("separate")),
        )

    def tells(self, record: JobRecord, **now: Any) -> JobRecord:
        """Write the job's record, with what has changed."""
        changed = replace(record, **now)
        self.bus.put(JOBS, changed.id, changed.write())
        return changed

    def writes(
        self,
        key: str,
        stems: Mapping[str, bytes],
        type_: str = "audio/mpeg",
        scale: float | None = None,
        **said: Any,
    ) -> None:
        """Put the stems, by file name, and then the manifest; `scale` if encoded again."""
        listed = []
        for file, data in stems.items():
            self.store.put_object("stems", f"{key}/{file}", io.BytesIO(data), len(data), type_)
            listed.append(
                {
                    "name": file.partition(".")[0],
                    "key": f"{key}/{file}",
                    "size": len(data),
                    "content_type": type_,
                }
                | ({"scale": scale} if scale else {})
            )
        manifest = {"options": {}, "stems": listed} | said
        body = json.dumps(manifest).encode()
        self.store.put_object("stems", manifest_key(key), io.BytesIO(body), len(body))

    def separates(self, record: JobRecord, stems: Mapping[str, bytes]) -> JobRecord:
        """All of it at once."""
        self.writes(record.key, stems, job=record.id, options=record.options)
        return self.tells(record, state=JobState.DONE, progress=1.0, stems=list(stems))


def a_job(key: str, **metadata: str) -> JobRecord:
    """The record of a song that has just landed at `key`."""
    etag = hashlib.md5(key.encode()).hexdigest()
    return JobRecord.of(ObjectCreated("songs", key, 1000, etag, metadata=metadata))
