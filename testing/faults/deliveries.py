"""What the receiver of webhooks and callbacks got: verified, and grouped by event."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from testing.faults.receiver import Received, read_received


@dataclass(frozen=True, slots=True)
class EventKey:
    """What copies of one event have in common: its target, type, job and time."""

    path: str
    type: str
    job: str
    time: str


class Deliveries:
    """All deliveries so far. `secrets` are those of the webhook and of callbacks."""

    def __init__(self, file: Path, webhook_secret: str, callback_secret: str) -> None:
        self._file = file
        self._offset = 0
        self._webhook = Webhook(webhook_secret)
        self._callback = Webhook(callback_secret)
        self.ids: dict[EventKey, set[str]] = defaultdict(set)
        self.count = 0
        self.problems: list[str] = []

    def read_new(self) -> None:
        """Read what has arrived since the last call."""
        received, self._offset = read_received(self._file, self._offset)
        for request in received:
            self._add(request)

    def ids_of(self, path: str, type_: str, job: str) -> set[str]:
        """Return the ids under which `path` got events of this type and job."""
        return {
            id_
            for key, ids in list(self.ids.items())
            if (key.path, key.type, key.job) == (path, type_, job)
            for id_ in ids
        }

    def _add(self, request: Received) -> None:
        self.count += 1
        webhook = self._callback if request.path.startswith("/callback/") else self._webhook
        try:
            event: dict[str, Any] = webhook.verify(request.body, request.headers)
        except WebhookVerificationError as error:
            # a delivery that waited longer than the signature is valid is sent again, signed anew
            self.problems.append(f"{request.path} got a delivery that it cannot verify: {error}")
            return
        key = EventKey(request.path, event["type"], event["data"]["job"], event["time"])
        ids = self.ids[key]
        ids.add(request.id)
        if len(ids) == 2:
            self.problems.append(f"{key} came with two ids: {sorted(ids)}")
