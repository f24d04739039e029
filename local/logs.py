"""Follow the log lines of all components (`make logs`).

python -m local.logs [--job TEXT] [--json]
"""

import argparse
import asyncio
import json
import sys
from typing import Any

from nats.aio.msg import Msg

from local.environment import Environment
from microdemucs.settings import BusSettings
from minio_events.connection import connect

_COLOURS = {"warning": "\033[33m", "error": "\033[31m", "critical": "\033[31m"}
_LEADING_FIELDS = ("time", "level", "function", "event")


def readable(line: dict[str, Any], *, colour: bool) -> str:
    """Return a log line as text: time, function, event, then its other fields as name=value."""
    clock = str(line.get("time", ""))[11:23]
    fields = " ".join(f"{k}={_value(v)}" for k, v in line.items() if k not in _LEADING_FIELDS)
    text = f"{clock}  {line.get('function', ''):12}  {line.get('event', '')}  {fields}".rstrip()
    start = _COLOURS.get(str(line.get("level")), "") if colour else ""
    return f"{start}{text}\033[0m" if start else text


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if "\n" not in text else "\n" + text


async def follow(text: str, *, as_json: bool) -> None:
    """Print each log line that contains `text`, until interrupted.

    Raises SystemExit if no stack was started.
    """
    variables = Environment.load().variables
    client = await connect(
        BusSettings(variables["NATS_URL"], "logs", variables["NATS_LOGS_PASSWORD"]), "logs"
    )

    async def show(message: Msg) -> None:
        line = message.data.decode()
        if text in line:
            shown = line if as_json else readable(json.loads(line), colour=sys.stdout.isatty())
            print(shown, flush=True)

    await client.subscribe("logs.>", cb=show)
    await client.flush()
    print("following the logs; Ctrl-C ends", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line and follow the logs."""
    parser = argparse.ArgumentParser(prog="local.logs", description=__doc__)
    parser.add_argument("--job", default="", help="print only lines that contain this text")
    parser.add_argument("--json", action="store_true", help="print the lines as JSON")
    arguments = parser.parse_args()
    try:
        asyncio.run(follow(arguments.job, as_json=arguments.json))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
