"""Deduplication: the first message with a key owns it."""

import pytest

from minio_events import dedup
from minio_events.dedup import Deduplicator


def test_a_second_message_with_the_same_key_is_a_duplicate() -> None:
    deduplicator = Deduplicator()
    assert not deduplicator.is_duplicate("key", 1)
    assert deduplicator.is_duplicate("key", 2)


def test_a_message_with_another_key_is_no_duplicate() -> None:
    deduplicator = Deduplicator()
    assert not deduplicator.is_duplicate("key", 1)
    assert not deduplicator.is_duplicate("other key", 2)


def test_a_redelivered_message_is_no_duplicate_of_itself() -> None:
    deduplicator = Deduplicator()
    assert not deduplicator.is_duplicate("key", 1)
    assert deduplicator.is_duplicate("key", 2)
    assert not deduplicator.is_duplicate("key", 1)


def test_messages_without_a_key_have_no_duplicates() -> None:
    deduplicator = Deduplicator()
    assert not deduplicator.is_duplicate("", 1)
    assert not deduplicator.is_duplicate("", 2)


def test_a_replayed_message_takes_over_its_key() -> None:
    deduplicator = Deduplicator()
    deduplicator.is_duplicate("key", 1)
    deduplicator.set_owner("key", 7)
    assert not deduplicator.is_duplicate("key", 7)
    assert deduplicator.is_duplicate("key", 8)


def test_only_the_newest_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup, "_MAX_KEYS", 3)
    deduplicator = Deduplicator()
    for number in range(4):
        deduplicator.is_duplicate(f"key {number}", number)
    assert not deduplicator.is_duplicate("key 0", 99)
    assert deduplicator.is_duplicate("key 3", 99)
