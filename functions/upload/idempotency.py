"""Idempotency keys: a request that is sent again gets the answer of the first one.

The header Idempotency-Key is that of draft-ietf-httpapi-idempotency-key-header. The answers are in
the key-value bucket `idempotency`, which keeps them for a day.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
CLAIM_S = 15
"""A key is free again after so many seconds if nobody works on its first request any more."""
_RENEW_S = 5.0
_OLD_CLAIM = timedelta(minutes=5)
"""How long a claim of the previous release lasts, for one release."""

_KEY = re.compile(rf"[ -~]{{1,{MAX_KEY_CHARACTERS}}}")
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a string of RFC 8941, section 3.3.3

Answer = dict[str, Any]


class KeyRecord(Struct, frozen=True, kw_only=True):
    """The first request with a key. `answer` is None while that request is in work.

    `request` is a digest of all that the request asks for; `started` is RFC 3339 in UTC. `expires`
    is whether the bus removes the record unless it is renewed.
    """

    request: str
    started: str
    expires: bool = False
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

    `key` is the digest of the key and its caller, `request` that of the request. While `work` runs,
    the key is claimed. If `work` raises, the key is free again; if this process is killed, the bus
    frees it after CLAIM_S. Raises Problem (409, 422), RetryLater, and what `work` raises.
    """
    record = KeyRecord(request=request, started=now(), expires=True)
    claimed = _claim(bus, key, record)
    if not isinstance(claimed, int):
        return claimed
    claim = _Claim(bus, key, record, claimed)
    try:
        with claim.kept():
            answer = work()
    except BaseException:
        claim.release()
        raise
    claim.finish(answer)
    return answer


class _Claim:
    """The right to answer the first request with a key: a lease, which is renewed."""

    def __init__(self, bus: Bus, key: str, record: KeyRecord, revision: int) -> None:
        self._bus = bus
        self._key = key
        self._record = record
        self._revision = revision

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the claim until the block ends."""
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(ended,), name="claim", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()

    def release(self) -> None:
        """Free the key."""
        with suppress(RetryLater, RevisionConflict):
            self._bus.delete(IDEMPOTENCY, self._key, self._revision)

    def finish(self, answer: Answer) -> None:
        """Keep the answer for every later request with the key."""
        finished = msgspec.structs.replace(self._record, expires=False, answer=answer)
        with suppress(RetryLater, RevisionConflict):  # then the request can be repeated in a while
            self._write(finished)

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(_RENEW_S):
            with suppress(RetryLater):  # the bus is away: try again
                try:
                    self._write(self._record, CLAIM_S)
                except RevisionConflict:
                    return  # another request has it: this process stood still

    def _write(self, record: KeyRecord, ttl: int = 0) -> None:
        """Replace the claim. Raises RevisionConflict if it is another request's, RetryLater."""
        try:
            self._revision = self._update(record, self._revision, ttl)
        except RevisionConflict:
            entry = self._bus.get(IDEMPOTENCY, self._key)
            if entry is None or entry.value != self._record.write():
                raise
            # The bus has renewed it, but the answer to that was lost.
            self._revision = self._update(record, entry.revision, ttl)

    def _update(self, record: KeyRecord, revision: int, ttl: int) -> int:
        return self._bus.update(IDEMPOTENCY, self._key, record.write(), revision, ttl)


def _claim(bus: Bus, key: str, claim: KeyRecord) -> int | Answer:
    """Enter `claim` and return its revision, or return the answer to the first request."""
    try:
        return bus.create(IDEMPOTENCY, key, claim.write(), CLAIM_S)
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
    age = datetime.now(UTC) - datetime.fromisoformat(first.started)
    if first.expires or age < _OLD_CLAIM:
        raise _in_work()
    try:
        return bus.update(IDEMPOTENCY, key, claim.write(), entry.revision, CLAIM_S)
    except RevisionConflict:
        raise _in_work() from None


def _in_work() -> Problem:
    return Problem(
        409,
        "idempotency-key-in-work",
        "The first request with this idempotency key is in work",
        "send the request again in a few seconds",
    )
