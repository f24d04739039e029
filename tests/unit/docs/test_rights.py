"""The tables of rights on docs/operations.md are those of the policies and of nats.conf."""

import json
import re
from typing import Any

import pytest

from microdemucs.paths import ROOT

PAGE = (ROOT / "docs/operations.md").read_text()
POLICIES = ROOT / "minio-events/minio_events/policies"
CONF = (ROOT / "minio-events/nats.conf").read_text()
WORDS = {
    "s3:ListBucket": "list",
    "s3:GetObject": "read",
    "s3:GetObjectVersion": "read versions",
    "s3:PutObject": "write",
    "s3:DeleteObject": "remove",
}
STORE_USERS = sorted(path.stem for path in POLICIES.glob("*.json"))
BUCKETS = ("songs", "stems", "models")
ACCOUNTS = (
    *("STORE", "BRIDGE", "INTAKE", "SWEEP", "EVENTS"),
    *("SEPARATE", "UPLOAD", "NOTIFY"),
)
BUS_USERS = (
    *("provision", "minio", "bridge", "intake", "sweep", "events"),
    *("separate", "upload", "notify", "logs"),
)


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table that follows `heading`, by the user in their first cell."""
    [section] = re.findall(r"## What each component may do\n(.*?)\n## ", PAGE, re.DOTALL)
    rows = section.split(heading)[1].strip().split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row[1:] for row in cells}


def statements(user: str, effect: str) -> list[dict[str, Any]]:
    policy = json.loads((POLICIES / f"{user}.json").read_text())
    return [one for one in policy["Statement"] if one["Effect"] == effect]


def store_rights(user: str, bucket: str) -> set[tuple[str, frozenset[str]]]:
    """Return the words for what the user may do in the bucket, each with the keys."""
    found = set()
    for statement in statements(user, "Allow"):
        resources = [name.removeprefix("arn:aws:s3:::") for name in statement["Resource"]]
        keys = {
            name.partition("/")[2] for name in resources if name.split("/")[0] == f"{{{bucket}}}"
        }
        for action in statement["Action"]:
            if keys and action != "s3:AbortMultipartUpload":  # a write that is taken back
                found.add((WORDS[action], frozenset(keys - {"", "*"})))
    return found


def documented_store_rights(cell: str) -> set[tuple[str, frozenset[str]]]:
    found = set()
    for right in filter(None, cell.split(", ")):
        words = right.split(" `")[0].split(" and ")[0]
        keys = re.findall("`([^`]+)`", right)
        is_hashed = "64 characters with `.mp3`" in right
        found.add(
            (
                words,
                frozenset("?" * 64 + key if is_hashed and key == ".mp3" else key for key in keys),
            )
        )
    return found


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("user", STORE_USERS)
def test_the_rights_in_the_store_are_those_of_the_policy(user: str, bucket: str) -> None:
    rows = table("In the store:")
    assert sorted(rows) == STORE_USERS
    cell = rows[user][BUCKETS.index(bucket)]
    assert documented_store_rights(cell) == store_rights(user, bucket)


@pytest.mark.parametrize("user", STORE_USERS)
def test_no_user_may_administrate_the_store(user: str) -> None:
    assert {"Effect": "Deny", "Action": ["admin:*"]} in statements(user, "Deny")


@pytest.mark.parametrize("user", STORE_USERS)
def test_who_may_remove_objects_may_not_remove_old_versions(user: str) -> None:
    may_remove = any("s3:DeleteObject" in one["Action"] for one in statements(user, "Allow"))
    denied = {action for one in statements(user, "Deny") for action in one["Action"]}
    assert ("s3:DeleteObjectVersion" in denied) == may_remove


def block(start: str, closing: str) -> str:
    """Return the part of nats.conf from `start` to the next line that is `closing`."""
    [found] = re.findall(rf"^ *{re.escape(start)}.*?^{closing}", CONF, re.DOTALL | re.MULTILINE)
    return str(found)


def publishes(user: str) -> list[str]:
    """Return the subjects on which the user may publish, without its logs."""
    [subjects] = re.findall(rf"user: {user}, .*?publish: (\[.*?\]|\{{.*?\}})", CONF, re.DOTALL)
    return [] if "deny" in subjects else re.findall('"([^"]+)"', subjects)


def quoted(cell: str) -> set[str]:
    return set(re.findall("`([^`]+)`", cell))


@pytest.mark.parametrize("user", BUS_USERS)
def test_the_rights_on_the_bus_are_those_of_nats_conf(user: str) -> None:
    rows = table("On the bus:")
    assert sorted(rows) == sorted(BUS_USERS)
    documented_subjects, documented_buckets, _ = rows[user]
    subjects = {one for one in publishes(user) if not one.startswith(("$", "logs."))}
    buckets = {one.split(".")[1] for one in publishes(user) if one.startswith("$KV.")}
    assert quoted(documented_subjects) == subjects
    assert quoted(documented_buckets) == buckets


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_imports_what_its_user_may_publish(account: str) -> None:
    text = block(f"{account} {{", "  }")
    [user] = re.findall(r"user: (\w+)", text)
    imported = re.findall(r'service: \{ account: (?:CORE|BRIDGE), subject: "([^"]+)"', text)
    assert imported[0] == "$JS.API.INFO"  # nats.conf says why
    assert imported[1:] == [one for one in publishes(user) if not one.startswith("logs.")]


def covers(export: str, subject: str) -> bool:
    """Return whether every subject that `subject` matches also matches `export`."""
    wider, narrower = export.split("."), subject.split(".")
    for position, token in enumerate(wider):
        if token == ">":
            return len(narrower) > position
        if position >= len(narrower) or narrower[position] == ">":
            return False
        if token not in ("*", narrower[position]):
            return False
    return len(wider) == len(narrower)


@pytest.mark.parametrize("kind", ["service", "stream"])
@pytest.mark.parametrize("account", ACCOUNTS)
def test_what_an_account_imports_is_exported_once(account: str, kind: str) -> None:
    """Otherwise the server does not start, or takes either export's kind of response."""
    imports = block(f"{account} {{", "  }")
    [exports] = re.findall(r"CORE \{.*?exports: \[(.*?)\n    \]", CONF, re.DOTALL)
    exported = re.findall(rf'{kind}: "([^"]+)"', exports)
    for subject in re.findall(rf'{kind}: \{{ account: CORE, subject: "([^"]+)"', imports):
        assert len([one for one in exported if covers(one, subject)]) == 1, subject


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_imports_what_its_user_may_follow(account: str) -> None:
    text = block(f"{account} {{", "  }")
    imported = re.findall(r'stream: \{ account: CORE, subject: "([^"]+)"', text)
    [subscribed] = re.findall(r"subscribe: \[(.*?)\]", text)
    subjects = re.findall('"([^"]+)"', subscribed)
    requests = re.findall(r'exports: .*service: "([^"]+)"', text)
    followed = [one for one in subjects if not one.startswith("_INBOX") and one not in requests]
    assert imported == followed


@pytest.mark.parametrize("user", [user for user in BUS_USERS if user != "provision"])
def test_only_provision_may_create_a_consumer_or_change_a_stream(user: str) -> None:
    api = [one for one in publishes(user) if one.startswith("$JS.API.")]
    harmless = ("STREAM.INFO.", "DIRECT.GET.", "CONSUMER.INFO.", "CONSUMER.MSG.NEXT.")
    others = {one for one in api if not one.removeprefix("$JS.API.").startswith(harmless)}
    expected = {
        "bridge": {
            *("$JS.API.STREAM.MSG.DELETE.DELIVERIES", "$JS.API.STREAM.MSG.DELETE.QUEUE"),
            *("$JS.API.STREAM.MSG.DELETE.OUTBOX", "$JS.API.STREAM.MSG.DELETE.DEAD"),
            "$JS.API.STREAM.MSG.GET.DEAD",
        },
        "events": {
            *("$JS.API.STREAM.MSG.GET.DEAD", "$JS.API.STREAM.MSG.DELETE.DEAD"),
        },
    }
    assert others == expected.get(user, set())
