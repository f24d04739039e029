"""Fetch the model that `make run` uses, unless it is on this machine (local/model_fetch.py).

It prints the progress, from 0 to 1, in lines. It ends with status 1 and one line if there will be
the bundled model instead, with NOT_REPLACEABLE if the setting MODEL names one that there is not.
"""

import sys
from typing import NoReturn

from functions.separate.engine import hub
from functions.separate.engine.locate import BUNDLED, FULL, ModelLocator
from functions.separate.engine.settings import ModelSettings
from local.model_fetch import NOT_REPLACEABLE
from microdemucs.settings import BadSetting


def main() -> None:
    """Fetch the default model into MODELS_CACHE if the hub has it and this machine has not."""
    try:
        settings = ModelSettings()
    except BadSetting as error:
        _fail(str(error), NOT_REPLACEABLE)
    name = settings.default or FULL
    locator = ModelLocator(None, settings.folder, settings.cache, settings.namespace)
    if "/" in name or locator.find(name) or name not in hub.names():
        return
    try:
        hub.fetch(name, locator.fetched / name, settings.namespace, _print_progress)
    except (hub.CannotFetch, OSError) as error:
        reason = f"{name} cannot be fetched: {error}"
        if settings.default:
            _fail(f"{reason}; without MODEL={name} there is {BUNDLED}", NOT_REPLACEABLE)
        _fail(
            f"{reason}. The small {BUNDLED} is used; `make models MODEL={name}` gets the full one",
            1,
        )


def _print_progress(progress: float) -> None:
    print(f"{progress:.3f}", flush=True)


def _fail(reason: str, status: int) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
