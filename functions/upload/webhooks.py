"""Webhooks: who wants to be told what. The secret is shown once, to who registers it."""

import json
import secrets
import uuid
from base64 import b64decode, b64encode
from typing import Any

import flask

from functions.upload import webhook_urls
from functions.upload.context import Context, context
from functions.upload.json_documents import bad, document
from microdemucs.bus import WEBHOOKS, Entry, RevisionConflict
from microdemucs.events import COMPLETED, FAILED, STARTED
from microdemucs.problems import Problem, RetryLater, now

EVENTS = [STARTED, COMPLETED, FAILED]
_DESCRIPTION_CHARACTERS = 500
_TRIES = 5

routes = flask.Blueprint("webhooks", __name__, url_prefix="/apiv1/webhooks")


@routes.post("")
def register() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Register one; this answer alone holds its secret."""
    ctx = context()
    said = document("url", "events", "description", "active", "secret")
    id_ = uuid.uuid4().hex
    webhook: dict[str, Any] = {
        "id": id_,
        "url": None,
        "events": EVENTS,
        "description": "",
        "active": True,
        "secret": _secret(said.pop("secret", None)),
        "created": now(),
    }
    webhook |= _checked(ctx, {"url": None} | said)
    webhook["updated"] = webhook["created"]
    ctx.bus.create(WEBHOOKS, id_, json.dumps(webhook).encode())
    return webhook, 201, {"Location": f"/apiv1/webhooks/{id_}"}


@routes.get("")
def list_() -> dict[str, Any]:
    """All of them, oldest first."""
    # a webhook's id has no dot: `*` leaves the callbacks of single jobs out
    found = [json.loads(entry.value or b"{}") for entry in context().bus.entries(WEBHOOKS, "*")]
    return {"webhooks": [_shown(one) for one in sorted(found, key=lambda one: one["created"])]}


@routes.get("/<id_>")
def one(id_: str) -> dict[str, Any]:
    """One of them."""
    return _shown(json.loads(_find(context(), id_).value or b""))


@routes.patch("/<id_>")
def change(id_: str) -> dict[str, Any]:
    """Change what is given; the rest stays."""
    ctx = context()
    changes = _checked(ctx, document("url", "events", "description", "active"))
    for _ in range(_TRIES):
        entry = _find(ctx, id_)
        webhook = json.loads(entry.value or b"") | changes | {"updated": now()}
        try:
            ctx.bus.update(WEBHOOKS, id_, json.dumps(webhook).encode(), entry.revision)
        except RevisionConflict:  # somebody else changes it too
            continue
        return _shown(webhook)
    raise RetryLater("busy", "Others change this webhook now", after=1)


@routes.delete("/<id_>")
def forget(id_: str) -> tuple[str, int]:
    """Forget it: what is under way to it may still arrive."""
    ctx = context()
    _find(ctx, id_)
    ctx.bus.delete(WEBHOOKS, id_)
    return "", 204


def _find(ctx: Context, id_: str) -> Entry:
    # an id of ours is hex: anything else may not even be a key of the bucket
    entry = ctx.bus.get(WEBHOOKS, id_) if id_.isascii() and id_.isalnum() else None
    if entry is None or entry.value is None:
        raise Problem(404, "unknown-webhook", "There is no such webhook")
    return entry


def _shown(webhook: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in webhook.items() if name != "secret"}


def _checked(ctx: Context, said: dict[str, Any]) -> dict[str, Any]:
    if "url" in said:
        webhook_urls.checked(said["url"], "url", ctx.settings.allow_private)
    if "events" in said:
        events = said["events"]
        if not isinstance(events, list) or not events or any(one not in EVENTS for one in events):
            raise bad("events", f"some of {', '.join(EVENTS)}")
        said["events"] = [event for event in EVENTS if event in events]
    description = said.get("description", "")
    if not isinstance(description, str) or len(description) > _DESCRIPTION_CHARACTERS:
        raise bad("description", f"a text of at most {_DESCRIPTION_CHARACTERS} characters")
    if not isinstance(said.get("active", True), bool):
        raise bad("active", "true or false")
    return said


def _secret(given: Any) -> str:
    """`given`, or one of our own, as Standard Webhooks writes them."""
    if given is None:
        return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    try:
        size = len(b64decode(given.removeprefix("whsec_"), validate=True))
    except (AttributeError, ValueError):
        size = 0
    if not 24 <= size <= 64 or not given.startswith("whsec_"):
        raise bad("secret", "whsec_ and base64 of 24 to 64 random bytes")
    return str(given)
