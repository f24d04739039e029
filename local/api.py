"""The REST API as `make run` uses it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

_APPEAR_S = 60


class Api:
    """The API at `base`, without a token: the stack listens on loopback only."""

    def __init__(self, base: str) -> None:
        self._base = base

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer, or None where there is none. Raises SystemExit with the problem."""
        request = urllib.request.Request(  # noqa: S310 (our own address)
            self._base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.read().decode()}") from error
        return json.loads(text) if text else None

    def follow(self, key: str) -> Iterator[dict[str, Any]]:
        """The job of the song `key` again and again until it is finished. Raises SystemExit."""
        end = time.monotonic() + _APPEAR_S
        while True:
            jobs = self.call("GET", f"/apiv1/jobs?key={quote(key, safe='')}")["jobs"]
            if jobs:
                yield jobs[0]
                if jobs[0]["finished"]:
                    return
            elif time.monotonic() > end:
                raise SystemExit(f"no job for {key} after {_APPEAR_S} s: see `make logs`")
            time.sleep(0.1)
