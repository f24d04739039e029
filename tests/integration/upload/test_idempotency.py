import asyncio
import os
import subprocess
import sys
import threading
import uuid
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import nats
import pytest

from functions.upload import idempotency
from functions.upload.idempotency import KeyRecord, answer_once, digest
from microdemucs.bus import IDEMPOTENCY, Bus, connection
from microdemucs.paths import ROOT
from microdemucs.problems import Problem, RetryLater, now
from testing.job_writer import JobWriter
from testing.stack import Stack
from testing.waiting import wait_until
from testing.web_client import WebClient

ANSWER = {"hash": "h", "job": "j"}


@pytest.fixture
def bus(client: WebClient) -> Bus:
    """The bus, with the rights of the upload function."""
    found: Bus = client.application.extensions["context"]().bus
    return found


def unique_key() -> str:
    return uuid.uuid4().hex


def never() -> dict[str, Any]:
    raise AssertionError("the work is done a second time")


def post(client: WebClient, song: bytes, key: str, token: str = "", **members: Any) -> Any:
    headers = {"Idempotency-Key": key}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = {"mp3": b64encode(song).decode(), **members}
    return client.post("/apiv1/separate", json=body, headers=headers)


def stored_at(job_writer: JobWriter, response: Any) -> datetime | None:
    [song] = job_writer.songs.list(response.json["hash"])  # to the millisecond, unlike stat
    return song.last_modified


def test_the_same_key_and_request_get_the_same_answer_and_store_no_second_object(
    client: WebClient, job_writer: JobWriter
) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    first = post(client, song, key, options={"format": "flac"})
    before = stored_at(job_writer, first)
    second = post(client, song, key, options={"format": "flac", "bits": 16})
    assert (second.status_code, second.json) == (200, first.json)
    assert second.headers["Location"] == first.headers["Location"]
    assert stored_at(job_writer, second) == before
    without_key = post(client, song, unique_key(), options={"format": "flac"})
    assert stored_at(job_writer, without_key) != before


def test_the_answer_is_the_first_one_even_if_the_job_has_gone_on(
    client: WebClient, job_writer: JobWriter
) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    first = post(client, song, key)
    job_writer.write_stems(f"{first.json['hash']}.mp3", {"drums.mp3": b"d"})
    assert post(client, song, key).json == first.json
    assert post(client, song, unique_key()).json["reason"] == "already separated"


def test_the_form_of_the_body_does_not_matter(client: WebClient, job_writer: JobWriter) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    first = post(client, song, key)
    headers = {"Idempotency-Key": key}
    second = client.post("/apiv1/separate", data=song, content_type="audio/wav", headers=headers)
    assert second.json == first.json
    assert job_writer.songs.stat(f"{first.json['hash']}.mp3").content_type == "audio/mpeg"


@pytest.mark.parametrize(
    ("same_song", "members"),
    [
        (False, {}),
        (True, {"options": {"format": "flac"}}),
        (True, {"callback": {"url": "https://example.com"}}),
    ],
    ids=["song", "options", "callback"],
)
def test_the_same_key_with_another_request_is_rejected(
    client: WebClient, job_writer: JobWriter, same_song: bool, members: dict[str, Any]
) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    first = post(client, song, key)
    before = stored_at(job_writer, first)
    second = post(client, song if same_song else uuid.uuid4().bytes, key, **members)
    assert second.status_code == 422
    assert second.json["type"] == "urn:micro-demucs:problem:idempotency-key-reused"
    assert second.content_type == "application/problem+json"
    assert stored_at(job_writer, first) == before


def test_a_rejected_request_does_not_use_up_its_key(client: WebClient) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    assert post(client, song, key, options={"format": "aiff"}).status_code == 422
    assert post(client, song, key, options={"format": "flac"}).status_code == 200


def test_a_request_that_failed_for_now_can_be_sent_again(
    client: WebClient, serve: Callable[..., WebClient]
) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    without_store = serve(STORE_URL="http://127.0.0.1:9")
    assert post(without_store, song, key).status_code == 503
    assert post(client, song, key).status_code == 200


def test_callers_with_different_tokens_do_not_share_keys(serve: Callable[..., WebClient]) -> None:
    client = serve(API_TOKENS="one,two")
    key, song = unique_key(), uuid.uuid4().bytes
    assert post(client, song, key, "one").status_code == 200
    assert post(client, uuid.uuid4().bytes, key, "one").status_code == 422
    assert post(client, uuid.uuid4().bytes, key, "two").status_code == 200


def test_a_key_with_quotes_is_the_same_as_without(client: WebClient) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    assert post(client, song, f'"{key}"').status_code == 200
    assert post(client, uuid.uuid4().bytes, key).status_code == 422


@pytest.mark.parametrize("key", ["k" * 255, '"a \\" \\\\ b"', "a b", "~!"])
def test_a_key_of_printable_characters_is_accepted(client: WebClient, key: str) -> None:
    assert post(client, b"the same song", key).status_code == 200


@pytest.mark.parametrize("key", ["", '""', '"', '"a', "k" * 256, "schl\xfcssel", "a\tb", '"a"b"'])
def test_another_key_is_rejected(client: WebClient, key: str) -> None:
    response = post(client, b"song", key)
    assert response.status_code == 400
    assert response.json["type"] == "urn:micro-demucs:problem:bad-idempotency-key"


def test_of_many_requests_at_once_one_does_the_work(bus: Bus) -> None:
    key, request, answers, in_work = unique_key(), digest(1), list[Any](), threading.Event()
    done: list[int] = []

    def work() -> dict[str, Any]:
        done.append(1)
        in_work.wait(60)
        return ANSWER

    def ask() -> object:
        try:
            return answer_once(bus, key, request, work)
        except Problem as problem:
            return problem.status
        finally:
            answers.append(1)
            if len(answers) == 7:  # all others have been answered while the first is in work
                in_work.set()

    with ThreadPoolExecutor(8) as threads:
        results = [call.result() for call in [threads.submit(ask) for _ in range(8)]]
    assert results.count(409) == 7
    assert results.count(ANSWER) == 1
    assert done == [1]
    assert answer_once(bus, key, request, never) == ANSWER


def test_a_request_whose_first_copy_is_in_work_is_refused(client: WebClient, bus: Bus) -> None:
    song, key = uuid.uuid4().bytes, unique_key()
    request = digest(sha256(song).hexdigest(), {}, "")
    record = KeyRecord(request=request, started=now())
    bus.put(IDEMPOTENCY, digest("", key), record.write())
    response = post(client, song, key)
    assert response.status_code == 409
    assert response.json["type"] == "urn:micro-demucs:problem:idempotency-key-in-work"


_STANDS_STILL = """
import sys, time
from functions.upload.idempotency import answer_once
from microdemucs.bus import Bus
from microdemucs.settings import BusSettings

def work():
    print("in work", flush=True)
    time.sleep(600)

answer_once(Bus(BusSettings(), "killed"), sys.argv[1], sys.argv[2], work)
"""


def test_the_key_of_a_killed_process_is_free_after_seconds(stack: Stack, bus: Bus) -> None:
    key, request = unique_key(), digest(1)
    process = subprocess.Popen(
        [sys.executable, "-c", _STANDS_STILL, key, request],
        cwd=ROOT,
        env=os.environ | stack.environment.for_component("upload"),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"in work\n"
        with pytest.raises(Problem, match="again in a few seconds"):
            answer_once(bus, key, request, never)
    finally:
        process.kill()
        process.communicate()

    def answer() -> object:
        with suppress(Problem):
            return answer_once(bus, key, request, lambda: ANSWER)
        return None

    # its claim lasts 15 s; the old one lasted 5 minutes
    assert wait_until(answer, 60, "the key is free") == ANSWER
    assert answer_once(bus, key, request, never) == ANSWER


def test_a_key_stays_claimed_while_its_first_request_is_in_work(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "CLAIM_S", 5)
    monkeypatch.setattr(idempotency, "_RENEW_S", 0.2)
    key, request, revisions = unique_key(), digest(1), set[int]()

    def work() -> dict[str, Any]:
        outlasts = KeyRecord(request=request, started=now())
        bus.put(IDEMPOTENCY, f"{key}-2", outlasts.write(), ttl=8)

        def is_over() -> bool:
            entry = bus.get(IDEMPOTENCY, key)
            assert entry, "the claim has expired"
            revisions.add(entry.revision)
            return bus.get(IDEMPOTENCY, f"{key}-2") is None

        wait_until(is_over, 60, "more time than a claim lasts is over")
        return ANSWER

    assert answer_once(bus, key, request, work) == ANSWER
    assert len(revisions) > 2
    assert answer_once(bus, key, request, never) == ANSWER


def test_a_claim_is_kept_if_the_answer_to_a_renewal_was_lost(bus: Bus) -> None:
    key, request = unique_key(), digest(1)

    def work() -> dict[str, Any]:
        entry = bus.get(IDEMPOTENCY, key)
        assert entry
        assert entry.value
        bus.update(IDEMPOTENCY, key, entry.value, entry.revision, idempotency.CLAIM_S)
        return ANSWER

    answer_once(bus, key, request, work)
    assert answer_once(bus, key, request, never) == ANSWER


def test_a_process_that_lost_its_claim_does_not_replace_the_answer(bus: Bus) -> None:
    key, request = unique_key(), digest(1)

    def stand_still() -> dict[str, Any]:
        entry = bus.get(IDEMPOTENCY, key)
        assert entry
        bus.delete(IDEMPOTENCY, key, entry.revision)  # as if it had expired
        assert answer_once(bus, key, request, lambda: ANSWER) == ANSWER
        return {"job": "late"}

    answer_once(bus, key, request, stand_still)
    assert answer_once(bus, key, request, never) == ANSWER


@pytest.mark.parametrize(("age", "is_free"), [(301, True), (200, False)])
def test_a_claim_of_the_previous_release_lasts_five_minutes(
    bus: Bus, age: float, is_free: bool
) -> None:
    key, request = unique_key(), digest(1)
    started = datetime.now(UTC) - timedelta(seconds=age)
    bus.put(IDEMPOTENCY, key, KeyRecord(request=request, started=started.isoformat()).write())
    if is_free:
        assert answer_once(bus, key, request, lambda: ANSWER) == ANSWER
    else:
        with pytest.raises(Problem, match="again in a few seconds"):
            answer_once(bus, key, request, never)


def test_a_key_is_free_again_if_the_work_raises(bus: Bus) -> None:
    def fail() -> dict[str, Any]:
        raise RetryLater("store-away", "away")

    key, request = unique_key(), digest(1)
    with pytest.raises(RetryLater):
        answer_once(bus, key, request, fail)
    assert answer_once(bus, key, digest(2), lambda: ANSWER) == ANSWER


def test_keys_and_tokens_are_not_on_the_bus_in_clear(serve: Callable[..., WebClient]) -> None:
    client = serve(API_TOKENS="secret-token")
    key = f"readable-{unique_key()}"
    post(client, uuid.uuid4().bytes, key, "secret-token")
    bus = client.application.extensions["context"]().bus
    entry = bus.get(IDEMPOTENCY, digest("secret-token", key))
    assert key.encode() not in entry.value


def test_keys_are_kept_for_a_day(stack: Stack) -> None:
    async def max_age() -> float:
        client = await nats.connect(**connection(stack.bus_settings("provision"), "test"))
        try:
            info = await client.jetstream().stream_info("KV_idempotency")
            return info.config.max_age or 0
        finally:
            await client.close()

    assert asyncio.run(max_age()) == 86_400
