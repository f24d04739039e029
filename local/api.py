"""A client of the REST API for `make run`."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

_JOB_APPEARS_S = 60


class Api:
    """The API at `url`, without a token, as the stack listens on loopback only."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON response, or None if it is empty.

        Raises SystemExit with the problem that the API reports.
        """
        request = urllib.request.Request(  # noqa: S310 (our own address)
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                text = response.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path} failed: {error.read().decode()}") from error
        return json.loads(text) if text else None

    def follow_job(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield the job of the song `key` ten times per second until it is finished.

        Raises SystemExit if there is no job after a minute.
        """
        end = time.monotonic() + _JOB_APPEARS_S
        while True:
            jobs = self.call("GET", f"/apiv1/jobs?key={quote(key, safe='')}")["jobs"]
            if jobs:
                yield jobs[0]
                if jobs[0]["finished"]:
                    return
            elif time.monotonic() > end:
                raise SystemExit(f"no job for {key} after {_JOB_APPEARS_S} s: see `make logs`")
            time.sleep(0.1)
