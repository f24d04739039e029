"""Deliveries: who is told what, and when again. Nothing here touches a network or a clock.

The message to a webhook is a CloudEvent in its JSON form; webhook-id, signature and the retry
schedule are those of Standard Webhooks (standardwebhooks.com).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Any

from microdemucs.events import COMPLETED, FAILED, STARTED

# s between attempts: the schedule that Standard Webhooks recommends, first attempt at once.
SCHEDULE = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
LONGEST_WAIT_S = 86400.0
CALLBACK = "callback."

# What failure.json holds beside the problem itself.
_ABOUT_THE_JOB = {
    *("job", "trace", "song", "options", "callback"),
    *("created", "started", "finished"),
}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something to tell: one event of one job, not yet deliveries_for to anybody.

    `time` is RFC 3339, `callback` the id of the job's own callback, "" for none.
    """

    type: str
    job: str
    subject: str
    time: str
    trace: str = ""
    callback: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """All attempts of one event to one target. `body` is the exact text that is posted.

    `target` is a webhook's id, or `callback.<callback id>`: a key in the bucket of webhooks.
    `created` is RFC 3339.
    """

    delivery: str
    target: str
    body: str
    job: str
    trace: str
    created: str

    @staticmethod
    def read(message: Any) -> "Delivery":
        """Read what `write` wrote, parsed. Raises ValueError."""
        try:
            return Delivery(**{name: str(message[name]) for name in Delivery.__slots__})
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not a delivery: {error!r}") from error

    def write(self) -> bytes:
        """The delivery as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


def started(message: Mapping[str, Any]) -> JobEvent:
    """What a `separation.started` message tells. Raises KeyError."""
    data = _members(message, "job", "song", "options")
    data["model"] = {"name": message["model"]}
    return _news(STARTED, message, message["started"], data)


def completed(manifest: Mapping[str, Any], link: Callable[[str], str]) -> JobEvent:
    """What a manifest.json tells; `link` makes an address of a stem's key. Raises KeyError."""
    data = _members(manifest, "job", "song", "options", "model", "timings", "warnings")
    data["stems"] = [stem | {"url": link(stem["key"])} for stem in manifest["stems"]]
    return _news(COMPLETED, manifest, manifest["finished"], data, manifest.get("callback", ""))


def failed(failure: Mapping[str, Any]) -> JobEvent:
    """What a failure.json tells. Raises KeyError."""
    data = _members(failure, "job", "song", "options")
    data["problem"] = {k: v for k, v in failure.items() if k not in _ABOUT_THE_JOB}
    return _news(FAILED, failure, failure["finished"], data, failure.get("callback", ""))


def deliveries_for(
    news: JobEvent,
    webhooks: Iterable[Mapping[str, Any]],
    callback: Mapping[str, Any] | None,
    source: str,
    created: str,
) -> Iterator[Delivery]:
    """A delivery for each active webhook that wants `news`, and one for the job's callback.

    `webhooks` and `callback` are records of the bucket of webhooks, `source` is the deployment,
    `created` this moment. The same news gives the same deliveries with the same ids.
    """
    for webhook in webhooks:
        if webhook.get("active") and news.type in webhook.get("events", ()):
            yield _delivery(news, webhook["id"], source, created, {})
    if callback is not None:
        given = {"callback": callback.get("data")}
        yield _delivery(news, CALLBACK + news.callback, source, created, given)


def wait(
    delivery: str, attempt: int, age: float, schedule: Sequence[float], asked: float = 0
) -> float | None:
    """Seconds until the next attempt after failed attempt number `attempt`, or None: no more.

    `age` is how many seconds ago the delivery was made, `asked` what the receiver's Retry-After
    said. Up to a tenth is added, always the same for the same attempt, so that what failed
    together does not come back together.
    """
    # `attempt` counts also those that never reached us: at this age there cannot have been more
    attempt = min(attempt, 1 + sum(age >= offset for offset in accumulate(schedule)))
    if attempt > len(schedule):
        return None
    drawn = hashlib.sha256(f"{delivery} {attempt}".encode()).digest()[0] / 2550
    return max(schedule[attempt - 1] * (1 + drawn), min(asked, LONGEST_WAIT_S))


def _news(
    type_: str, told: Mapping[str, Any], time: str, data: Mapping[str, Any], callback: str = ""
) -> JobEvent:
    trace = told.get("trace", "")
    return JobEvent(type_, told["job"], told["song"]["key"], time, trace, callback, data)


def _members(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def _delivery(
    news: JobEvent, target: str, source: str, created: str, more: Mapping[str, Any]
) -> Delivery:
    said = json.dumps([news.job, news.type, news.time, target])
    id_ = "msg_" + hashlib.sha256(said.encode()).hexdigest()[:32]
    body = {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": news.type,
        "subject": news.subject,
        "time": news.time,
        "datacontenttype": "application/json",
        "data": {**news.data, **more},
    }
    text = json.dumps(body, ensure_ascii=False)
    return Delivery(id_, target, text, news.job, news.trace, created)
