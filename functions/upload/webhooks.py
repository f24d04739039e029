"""The routes of webhooks: register, list, change and delete. A secret is shown once, at first."""

import secrets
import uuid
from base64 import b64encode
from contextlib import suppress
from typing import Any

import flask
import msgspec

from functions.upload import webhook_urls
from functions.upload.context import Context, context
from functions.upload.json_documents import (
    bad_hidden_value,
    bad_value,
    describe,
    read_document,
)
from microdemucs.bus import (
    ATTEMPTS,
    ATTEMPTS_KEPT,
    ATTEMPTS_SUBJECT,
    WEBHOOKS,
    Entry,
    RevisionConflict,
)
from microdemucs.events import COMPLETED, FAILED, STARTED
from microdemucs.manifest import BadDocument
from microdemucs.messages import Attempt
from microdemucs.problems import Problem, RetryLater, now
from microdemucs.webhooks import WEBHOOK_KEYS, WebhookRecord, is_webhook_secret

EVENT_TYPES = [STARTED, COMPLETED, FAILED]
_MAX_DESCRIPTION_CHARACTERS = 500
_UPDATE_ATTEMPTS = 5

routes = flask.Blueprint("webhooks", __name__, url_prefix="/apiv1/webhooks")


@routes.post("")
def register_webhook() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Register a webhook; only this response holds its secret."""
    ctx = context()
    members = read_document("url", "events", "description", "active", "secret")
    secret = check_secret(members.pop("secret", None))
    chosen = {"events": EVENT_TYPES} | _check_members(ctx, {"url": None} | members)
    _ensure_below_limit(ctx)
    created = now()
    webhook = WebhookRecord(
        id=uuid.uuid4().hex, secret=secret, created=created, updated=created, **chosen
    )
    ctx.bus.create(WEBHOOKS, webhook.id, webhook.write())
    document: dict[str, Any] = msgspec.to_builtins(webhook)
    return document, 201, {"Location": f"/apiv1/webhooks/{webhook.id}"}


@routes.get("")
def list_webhooks() -> dict[str, Any]:
    """Return all webhooks, oldest first, without their secrets."""
    webhooks = context().webhooks.webhooks()
    webhooks.sort(key=lambda webhook: webhook.created)
    return {"webhooks": [_without_secret(webhook) for webhook in webhooks]}


@routes.get("/<id_>")
def get_webhook(id_: str) -> dict[str, Any]:
    """Return one webhook without its secret."""
    webhook, _ = _find_webhook(context(), id_)
    return _without_secret(webhook)


@routes.get("/<id_>/attempts")
def list_attempts(id_: str) -> dict[str, Any]:
    """Return the last attempts of the webhook's deliveries, newest first."""
    ctx = context()
    _find_entry(ctx, id_)
    subject = f"{ATTEMPTS_SUBJECT}.{id_}"
    messages, _ = ctx.bus.messages(ATTEMPTS, subject, after=0, most=ATTEMPTS_KEPT)
    attempts = []
    for message in reversed(messages):
        with suppress(BadDocument):  # of another version
            attempts.append(Attempt.read(message.data).data())
    return {"attempts": attempts}


@routes.patch("/<id_>")
def update_webhook(id_: str) -> dict[str, Any]:
    """Change the members in the body; the others stay.

    With a new `url` or `active`, its receiver's failures so far no longer count.
    """
    ctx = context()
    changes = _check_members(ctx, read_document("url", "events", "description", "active"))
    if {"url", "active"} & changes.keys():
        changes |= {"failing_since": ""}
    if "active" in changes:
        changes |= {"inactive_reason": ""}
    for _ in range(_UPDATE_ATTEMPTS):
        webhook, revision = _find_webhook(ctx, id_)
        changed = msgspec.structs.replace(webhook, **changes, updated=now())
        try:
            ctx.bus.update(WEBHOOKS, id_, changed.write(), revision)
        except RevisionConflict:  # another request changed it in the meantime
            continue
        return _without_secret(changed)
    raise RetryLater("busy", "The webhook was changed concurrently", "try again", after=1)


@routes.delete("/<id_>")
def delete_webhook(id_: str) -> tuple[str, int]:
    """Delete a webhook; an attempt that has begun may still arrive."""
    ctx = context()
    _find_entry(ctx, id_)  # its record need not be readable
    ctx.bus.remove(WEBHOOKS, id_)
    return "", 204


def check_secret(secret: Any) -> str:
    """Return `secret`, or a new one if it is None, as Standard Webhooks writes it.

    Raises Problem (422).
    """
    if secret is None:
        return "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    if not isinstance(secret, str) or not is_webhook_secret(secret):
        raise bad_hidden_value("secret", "whsec_ followed by base64 of 24 to 64 random bytes")
    return secret


def _ensure_below_limit(ctx: Context) -> None:
    """Raise Problem (409) if there are as many webhooks as the setting allows."""
    limit = ctx.settings.max_webhooks
    is_full = ctx.bus.count(WEBHOOKS, WEBHOOK_KEYS) >= limit  # counts markers of deletions, too
    if is_full and len(ctx.bus.entries(WEBHOOKS, WEBHOOK_KEYS)) >= limit:
        raise Problem(
            409,
            "too-many-webhooks",
            "There are too many webhooks",
            f"{limit} webhooks are registered, and no more are allowed: delete one that is not "
            "used (GET /apiv1/webhooks lists all), or the operator must raise MAX_WEBHOOKS",
        )


def _find_webhook(ctx: Context, id_: str) -> tuple[WebhookRecord, int]:
    """Return the webhook and its revision. Raises Problem (404, 409)."""
    entry = _find_entry(ctx, id_)
    try:
        return WebhookRecord.read(entry.value or b""), entry.revision
    except BadDocument as error:
        raise Problem(
            409,
            "unreadable-webhook",
            "The webhook's record cannot be read",
            f"{error}; DELETE /apiv1/webhooks/{id_} and register the webhook again",
        ) from error


def _find_entry(ctx: Context, id_: str) -> Entry:
    """Return the webhook's entry on the bus. Raises Problem (404)."""
    # Our ids are hexadecimal; other characters may not even be allowed in a key of the bucket.
    entry = ctx.bus.get(WEBHOOKS, id_) if id_.isascii() and id_.isalnum() else None
    if entry is None or entry.value is None:
        raise Problem(
            404,
            "unknown-webhook",
            "There is no such webhook",
            f"no webhook has the id {describe(id_)}; GET /apiv1/webhooks lists all",
        )
    return entry


def _without_secret(webhook: WebhookRecord) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(webhook)
    del document["secret"]
    return document


def _check_members(ctx: Context, members: dict[str, Any]) -> dict[str, Any]:
    """Return `members` with the event types in our order. Raises Problem (422)."""
    if "url" in members:
        webhook_urls.check_url(members["url"], "url", ctx.settings.allow_private)
    if "events" in members:
        chosen = members["events"]
        if (
            not isinstance(chosen, list)
            or not chosen
            or any(type_ not in EVENT_TYPES for type_ in chosen)
        ):
            accepts = f"a list of one or more of {', '.join(EVENT_TYPES)}"
            raise bad_value("events", chosen, accepts)
        members["events"] = [type_ for type_ in EVENT_TYPES if type_ in chosen]
    description = members.get("description", "")
    if not isinstance(description, str) or len(description) > _MAX_DESCRIPTION_CHARACTERS:
        accepts = f"a text of at most {_MAX_DESCRIPTION_CHARACTERS} characters"
        raise bad_value("description", description, accepts)
    active = members.get("active", True)
    if not isinstance(active, bool):
        raise bad_value("active", active, "true or false")
    return members
