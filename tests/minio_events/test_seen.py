"""The first message to bring news owns it."""

from minio_events import seen
from minio_events.seen import Seen


def test_the_second_message_with_the_same_news_is_a_copy():
    one = Seen()
    assert not one.is_copy("news", 1)
    assert one.is_copy("news", 2)
    assert not one.is_copy("other news", 2)


def test_the_same_message_again_is_no_copy_of_itself():
    one = Seen()
    assert not one.is_copy("news", 1)
    assert one.is_copy("news", 2)
    assert not one.is_copy("news", 1)


def test_news_without_copies_is_never_one():
    one = Seen()
    assert not one.is_copy("", 1)
    assert not one.is_copy("", 2)


def test_a_message_that_is_sent_again_takes_its_news_over():
    one = Seen()
    one.is_copy("news", 1)
    one.owned_by("news", 7)
    assert not one.is_copy("news", 7)
    assert one.is_copy("news", 8)


def test_only_the_latest_are_remembered(monkeypatch):
    monkeypatch.setattr(seen, "_REMEMBERED", 3)
    one = Seen()
    for number in range(4):
        one.is_copy(f"news {number}", number)
    assert not one.is_copy("news 0", 99)
    assert one.is_copy("news 3", 99)
