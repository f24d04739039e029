"""Idempotency keys: a request that is sent again gets the answer of the first one.

The header Idempotency-Key is that of draft-ietf-httpapi-idempotency-key-header. The answers are in
the key-value bucket `idempotency`, which keeps them for a day.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import flask
import msgspec
from msgspec import Struct

from functions.upload.json_documents import describe
from microdemucs.bus import IDEMPOTENCY, Bus, RevisionConflict
from microdemucs.manifest import decode
from microdemucs.problems import Problem, RetryLater, now

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255
IN_WORK_FOR = timedelta(minutes=5)
"""After this time without an answer, the process that worked on the first request is dead."""

_KEY = re.compile(rf"[ -~]{{1,{MAX_KEY_CHARACTERS}}}")
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a string of RFC 8941, section 3.3.3

Answer = dict[str, Any]


class KeyRecord(Struct, frozen=True, kw_only=True):
    """The first request with a key. `answer` is None while that request is in work.

    `request` is a digest of all that the request asks for; `started` is RFC 3339 in UTC.
    """

    request: str
    started: str
    answer: Answer | None = None

    @staticmethod
    def read(text: bytes) -> "KeyRecord":
        """Read what `write` wrote. Raises BadDocument."""
        return decode(text, KeyRecord)

    def write(self) -> bytes:
        """Return the record as JSON."""
        return msgspec.json.encode(self)


def read_key() -> str:
    """Return the idempotency key of this request, or "" if it has none. Raises Problem (400).

    The draft requires quotes around the key. Many clients leave them out, so both forms are
    accepted, and are the same key.
    """
    header = flask.request.headers.get(HEADER)
    if header is None:
        return ""
    quoted = _QUOTED_KEY.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    if not _KEY.fullmatch(key) or (header.startswith('"') and not quoted):
        accepts = f"1 to {MAX_KEY_CHARACTERS} printable ASCII characters"
        raise Problem(
            400,
            "bad-idempotency-key",
            "The idempotency key is not accepted",
            f"{HEADER} is {describe(header)}; it must be {accepts}, and may be in double quotes",
            accepts=accepts,
        )
    return key


def digest(*values: Any) -> str:
    """Return the SHA-256 of JSON values, in hex: of a request, or of a key and its caller."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def answer_once(bus: Bus, key: str, request: str, work: Callable[[], Answer]) -> Answer:
    """Return the answer to the first request with this key: of `work`, or from the bucket.

    `key` is the digest of the key and its caller, `request` that of the request. If `work` raises,
    the key is free again. Raises Problem (409, 422), RetryLater, and what `work` raises.
    """
    claim = KeyRecord(request=request, started=now())
    claimed = _claim(bus, key, claim)
    if not isinstance(claimed, int):
        return claimed
    try:
        answer = work()
    except BaseException:
        with suppress(RetryLater):
            bus.delete(IDEMPOTENCY, key)
        raise
    with suppress(RetryLater, RevisionConflict):  # then the request can be repeated in a while
        finished = msgspec.structs.replace(claim, answer=answer)
        bus.update(IDEMPOTENCY, key, finished.write(), claimed)
    return answer


def _claim(bus: Bus, key: str, claim: KeyRecord) -> int | Answer:
    """Enter `claim` and return its revision, or return the answer to the first request."""
    try:
        return bus.create(IDEMPOTENCY, key, claim.write())
    except RevisionConflict:
        entry = bus.get(IDEMPOTENCY, key)
    if entry is None or entry.value is None:  # its request has just failed
        raise _in_work()
    first = KeyRecord.read(entry.value)
    if first.request != claim.request:
        raise Problem(
            422,
            "idempotency-key-reused",
            "The idempotency key belongs to another request",
            f"a request with another song, other options or another callback had this {HEADER}: "
            "send a new key with each new request",
        )
    if first.answer is not None:
        return first.answer
    if datetime.now(UTC) - datetime.fromisoformat(first.started) < IN_WORK_FOR:
        raise _in_work()
    try:
        return bus.update(IDEMPOTENCY, key, claim.write(), entry.revision)
    except RevisionConflict:
        raise _in_work() from None


def _in_work() -> Problem:
    return Problem(
        409,
        "idempotency-key-in-work",
        "The first request with this idempotency key is in work",
        "send the request again in a few seconds",
    )
