"""All registered webhooks: a view of the key-value bucket `webhooks` that is current when read."""

import logging
import threading

from microdemucs.bus import WEBHOOKS, Bus, Entry
from microdemucs.manifest import BadDocument
from microdemucs.problems import RetryLater
from microdemucs.webhooks import WEBHOOK_KEYS, WebhookRecord

log = logging.getLogger(__name__)

_READS = 10


class WebhookRegistry:
    """The webhooks, kept in memory. Thread-safe.

    Each read asks the bus for what has changed since the last one: two small requests, however
    many webhooks there are. So a webhook counts from the moment its registration is answered.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._records: dict[str, WebhookRecord | None] = {}  # None: deleted, or unreadable
        self._revision = 0
        self._lock = threading.Lock()

    def webhooks(self) -> list[WebhookRecord]:
        """Return every webhook whose record can be read, in no order. Raises RetryLater."""
        with self._lock:
            self._refresh()
            return [record for record in self._records.values() if record]

    def _refresh(self) -> None:
        for _ in range(_READS):
            for entry in self._bus.changes(WEBHOOKS, WEBHOOK_KEYS, self._revision):
                self._records[entry.key] = _read(entry)
                self._revision = entry.revision
            # Every key that exists is in `_records` now. So there are more of them there only if
            # some were removed and their markers have vanished, which no change reports.
            surplus = len(self._records) - self._bus.count(WEBHOOKS, WEBHOOK_KEYS)
            if surplus == 0:
                return
            if surplus > 0:
                self._records, self._revision = {}, 0
        raise RetryLater("busy", "The webhooks are changed faster than they can be read", after=1)


def _read(entry: Entry) -> WebhookRecord | None:
    if entry.value is None:
        return None
    try:
        return WebhookRecord.read(entry.value)
    except BadDocument as error:  # one unreadable record must not hide the others
        about = {"target": entry.key, "reason": str(error)}
        log.error("webhook record cannot be read", extra=about)
        return None
