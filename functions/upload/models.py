"""GET /apiv1/models, and the check of a new job's options against its model."""

from contextlib import suppress
from typing import Any

import flask

from functions.upload.context import context
from microdemucs.models.catalogue import ModelEntry
from microdemucs.options import Options
from microdemucs.problems import RetryLater

routes = flask.Blueprint("models", __name__)


@routes.get("/apiv1/models")
def list_models() -> dict[str, Any]:
    """Return the models that a job can have now, and which one is the default."""
    catalogue = context().models.catalogue()
    default = catalogue.default
    return {
        "models": [_document(model) for model in catalogue.usable],
        "default": default.name if default else None,
        "complete": catalogue.is_complete,
    }


def ensure_usable(options: Options) -> None:
    """Raise BadOption if no job with these options can succeed, because of its model.

    If the models are not known at the moment, every name is accepted.
    """
    if options.model or options.two_stems or options.stems or options.segment:
        with suppress(RetryLater):
            context().models.catalogue().check(options)


def _document(model: ModelEntry) -> dict[str, Any]:
    assert model.facts
    return {
        "name": model.name,
        "sources": model.facts.sources,
        "segment": model.facts.segment,
        "max_segment": model.facts.max_segment,
        "networks": model.facts.networks,
        "note": model.note,
        "location": model.location,
    }
