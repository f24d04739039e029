"""The timeline of a campaign: one JSON line per event, with its seconds since the start."""

import json
import threading
import time
from pathlib import Path
from typing import Any


class Timeline:
    """Appends events to the file `path`. Thread-safe."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w")
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def add(self, event: str, **fields: Any) -> None:
        """Write an event that happens now."""
        line = {"at": round(time.monotonic() - self._start, 3), "event": event} | fields
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def read_timeline(path: Path) -> list[dict[str, Any]]:
    """Return the events of a timeline, complete or not."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
