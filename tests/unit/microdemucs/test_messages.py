import json

import msgspec
import pytest

from microdemucs.audio_facts import AudioFacts
from microdemucs.events import MalformedMessage, ObjectCreated, created_objects, record_of
from microdemucs.manifest import BadDocument, StoredSong
from microdemucs.messages import Delivery, Message, RangeId, RangeRequest, Requeue, Started

SONG = ObjectCreated("songs", "dir/a ü.mp3", 10, "e1", time="2026-11-22T17:25:34.544Z")
AUDIO = AudioFacts(
    container="wav",
    codec="pcm_s16le",
    sample_rate=44_100,
    channels=2,
    seconds=1.0,
    declared_seconds=None,
    bits=16,
    missing_seconds=0.0,
    length=44_100,
    mean=0.0,
    standard_deviation=0.1,
    is_clipped=False,
    ends_early=False,
    tags={},
    warnings=[],
)
STARTED = Started(
    trace="t",
    job="j",
    song=StoredSong(bucket="songs", key="a.mp3", etag="e"),
    options={},
    model="htdemucs",
    started="2026-11-22T17:25:34.612Z",
)
RANGE = RangeRequest(
    id="j.p.0", song=record_of(SONG, "j.p.0"), range=RangeId(0, 2, "p"), at_once=1, audio=AUDIO
)
DELIVERY = Delivery(delivery="msg_1", target="w", body="{}", job="j", created="2026")


@pytest.mark.parametrize("message", [STARTED, RANGE, DELIVERY], ids=lambda one: type(one).__name__)
def test_a_message_survives_writing_and_reading(message: Message) -> None:
    assert type(message).read(message.write()) == message
    assert type(message).from_data(message.data()) == message


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"job": "j", "song": "a.mp3"}'])
def test_a_text_that_is_no_message_is_an_error(text: bytes) -> None:
    with pytest.raises(BadDocument):
        Started.read(text)


def test_a_range_request_names_its_song() -> None:
    assert RangeRequest.read(RANGE.write()).stored_song == SONG


def test_a_range_request_without_a_song_is_malformed() -> None:
    members = json.loads(RANGE.write()) | {"song": {}}
    with pytest.raises(MalformedMessage):
        _ = RangeRequest.read(json.dumps(members).encode()).stored_song


def test_a_requeue_has_the_form_of_a_notification() -> None:
    [(event, created)] = created_objects(Requeue.of(SONG, "again-1", "t").write())
    assert created == SONG
    assert event["id"] == "again-1.sweep"


def test_the_deliveries_of_one_receiver_share_a_token_of_their_subjects() -> None:
    def subject(receiver: str, target: str) -> str:
        delivery = msgspec.structs.replace(DELIVERY, receiver=receiver, target=target)
        return delivery.subject

    first, second = subject("https://x.example", "w1"), subject("https://x.example", "callback.c")
    assert first.startswith("deliveries.new.")
    assert first.split(".")[2] == second.split(".")[2]
    assert (first.split(".")[3:], second.split(".")[3:]) == (["w1"], ["callback", "c"])
    assert subject("https://y.example", "w1") != first


def tokens(url: str) -> tuple[str, str]:
    """Return the host's and the receiver's part of the subject of a delivery to `url`."""
    delivery = msgspec.structs.replace(DELIVERY, receiver=url)
    host, _, receiver = delivery.subject.split(".")[2].partition("_")
    return host, receiver


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example", "https://a.example:8443"),
        ("https://a.example", "http://a.example"),
        ("https://a.example", "https://A.EXAMPLE.:1"),
        ("http://127.0.0.1:1", "http://2130706433:2"),
        ("http://127.0.0.1:1", "http://0x7f.1"),
        ("http://[::1]:1", "http://[::1]:2"),
    ],
)
def test_receivers_at_one_host_share_a_token_whatever_port_or_spelling(
    one: str, other: str
) -> None:
    assert tokens(one)[0] == tokens(other)[0]
    assert tokens(one)[1] != tokens(other)[1]


def test_receivers_at_other_hosts_share_none() -> None:
    urls = ("https://a.example", "https://b.example", "https://a.a.example", "", "no URL")
    assert len({tokens(url)[0] for url in urls}) == len(urls)
