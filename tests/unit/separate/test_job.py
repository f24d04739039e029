"""What an event requests."""

from dataclasses import replace
from typing import Any

import pytest
from cloudevents.http import CloudEvent

from functions.separate.job import CALLBACK_IGNORED, Job, UnreadableRange
from microdemucs.audio_facts import AudioFacts
from microdemucs.events import RANGE, ObjectCreated, record_of
from microdemucs.jobs import job_id
from microdemucs.messages import RangeId, RangeRequest
from microdemucs.options import BadOption
from microdemucs.problems import Problem, Rejected

SONG = ObjectCreated(
    bucket="songs",
    key="a song.mp3",
    size=7,
    etag="e" * 32,
    version="v1",
    time="2026-11-23T00:00:00Z",
    metadata={"callback": "c" * 32, "format": "flac"},
)
RECORD = record_of(SONG, "request")
AUDIO = AudioFacts(
    container="mp3",
    codec="mp3float",
    sample_rate=44_100,
    channels=2,
    seconds=1.0,
    declared_seconds=None,
    bits=None,
    missing_seconds=0.0,
    ends_early=False,
    length=44_100,
    mean=0.0,
    standard_deviation=0.1,
    is_clipped=False,
    tags={},
    warnings=[],
)
REQUEST = RangeRequest(
    id="a range",
    song=RECORD,
    range=RangeId(number=1, of=3, plan="a plan"),
    at_once=1,
    audio=AUDIO,
)
# how the version before AudioFacts described the audio
EARLIER_AUDIO = {
    "container": "mp3",
    "codec": "mp3float",
    "rate": 44_100,
    "channels": 2,
    "declared": None,
    "seconds": 1.0,
    "packets": 39,
    "bad": 0,
    "length": 44_100,
    "mean": 0.0,
    "deviation": 0.1,
}


def event(data: Any, type_: str = "com.amazonaws.s3.ObjectCreated:Put", **more: str) -> CloudEvent:
    return CloudEvent({"type": type_, "source": "tests", **more}, data)


def test_a_job_is_of_the_events_song() -> None:
    job = Job.of(event(RECORD))
    assert (job.id, job.song.key, job.callback) == (job_id(SONG), "a song.mp3", "c" * 32)
    assert job.range_request is None


@pytest.mark.parametrize("value", ["https://a.example/hook", "*", ">", "a b", "..", "C" * 32])
def test_what_is_no_callback_id_is_a_warning_and_no_callback(value: str) -> None:
    job = Job.of(event(record_of(replace(SONG, metadata={"callback": value}), "request")))
    assert (job.callback, job.warnings) == ("", (CALLBACK_IGNORED,))


def test_the_trace_is_that_of_the_traceparent() -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    assert Job.of(event(RECORD, traceparent=traceparent)).trace == "a" * 32


@pytest.mark.parametrize("traceparent", ["", "nonsense"])
def test_without_a_traceparent_there_is_no_trace(traceparent: str) -> None:
    assert Job.of(event(RECORD, traceparent=traceparent)).trace == ""


@pytest.mark.parametrize("data", [{}, None, [], "text", {"s3": {}}, {"s3": {"bucket": {}}}])
@pytest.mark.parametrize("type_", ["com.amazonaws.s3.ObjectCreated:Put", RANGE])
def test_an_event_without_a_song(data: Any, type_: str) -> None:
    with pytest.raises(Problem) as raised:
        Job.of(event(data, type_))
    assert (raised.value.status, raised.value.kind) == (400, "no-song")


def test_a_range_event_requests_a_range_of_its_song() -> None:
    job = Job.of(event(REQUEST.data(), RANGE))
    assert (job.id, job.range_request) == (job_id(SONG), REQUEST)


def test_a_range_message_of_an_earlier_version_is_of_its_song_but_cannot_be_read() -> None:
    message = REQUEST.data() | {"heard": EARLIER_AUDIO}
    del message["audio"]
    job = Job.of(event(message, RANGE))
    assert job.id == job_id(SONG)
    assert isinstance(job.range_request, UnreadableRange)
    assert "audio" in job.range_request.reason


def test_the_options_are_those_of_the_songs_metadata() -> None:
    assert Job.of(event(RECORD)).options().format == "flac"


def test_an_option_that_is_not_accepted() -> None:
    job = Job.of(event(record_of(replace(SONG, metadata={"format": "ogg"}), "request")))
    with pytest.raises(BadOption):
        job.options()


@pytest.mark.parametrize(("size", "is_accepted"), [(1000, True), (1001, False)])
def test_a_key_may_have_1000_bytes(size: int, is_accepted: bool) -> None:
    key = "ä" * (size // 2) + "k" * (size % 2)
    job = Job.of(event(record_of(replace(SONG, key=key), "request")))
    if is_accepted:
        assert job.options()
    else:
        with pytest.raises(Rejected, match="1001 bytes; up to 1000"):
            job.options()


def test_the_song_as_documents_describe_it() -> None:
    song = Job.of(event(RECORD)).stored_song()
    assert (song.bucket, song.key, song.etag) == ("songs", "a song.mp3", "e" * 32)
    assert (song.version, song.size) == ("v1", 7)
