"""The first message to bring news owns it."""

from minio_events import dedup
from minio_events.dedup import Deduplicator


def test_the_second_message_with_the_same_news_is_a_copy():
    one = Deduplicator()
    assert not one.is_duplicate("news", 1)
    assert one.is_duplicate("news", 2)
    assert not one.is_duplicate("other news", 2)


def test_the_same_message_again_is_no_copy_of_itself():
    one = Deduplicator()
    assert not one.is_duplicate("news", 1)
    assert one.is_duplicate("news", 2)
    assert not one.is_duplicate("news", 1)


def test_news_without_copies_is_never_one():
    one = Deduplicator()
    assert not one.is_duplicate("", 1)
    assert not one.is_duplicate("", 2)


def test_a_message_that_is_sent_again_takes_its_news_over():
    one = Deduplicator()
    one.is_duplicate("news", 1)
    one.set_owner("news", 7)
    assert not one.is_duplicate("news", 7)
    assert one.is_duplicate("news", 8)


def test_only_the_latest_are_remembered(monkeypatch):
    monkeypatch.setattr(dedup, "_REMEMBERED", 3)
    one = Deduplicator()
    for number in range(4):
        one.is_duplicate(f"news {number}", number)
    assert not one.is_duplicate("news 0", 99)
    assert one.is_duplicate("news 3", 99)
