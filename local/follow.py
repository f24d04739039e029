"""`make logs`: follow what every part says, readable. `JOB=…` (or a part of a song's key) filters.

python -m local.follow [--job TEXT] [--json]
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
_FIRST = ("time", "level", "function", "event")


def readable(said: dict[str, Any], *, colour: bool) -> str:
    """A log line for eyes: time, function, event, then the rest as name=value."""
    rest = " ".join(f"{k}={_short(v)}" for k, v in said.items() if k not in _FIRST)
    clock = str(said.get("time", ""))[11:23]
    text = f"{clock}  {said.get('function', ''):12}  {said.get('event', '')}  {rest}".rstrip()
    start = _COLOURS.get(str(said.get("level")), "") if colour else ""
    return f"{start}{text}\033[0m" if start else text


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if "\n" not in text else "\n" + text


async def follow(job: str, *, as_json: bool) -> None:
    """Print lines as they come, until interrupted. Raises SystemExit where no stack is up."""
    variables = Environment.load().variables
    client = await connect(
        BusSettings(variables["NATS_URL"], "logs", variables["NATS_LOGS_PASSWORD"]), "logs"
    )

    async def show(msg: Msg) -> None:
        line = msg.data.decode()
        if job in line:
            text = line if as_json else readable(json.loads(line), colour=sys.stdout.isatty())
            print(text, flush=True)

    await client.subscribe("logs.>", cb=show)
    await client.flush()
    print("following; Ctrl-C ends it", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="local.follow", description=__doc__)
    parser.add_argument("--job", default="", help="only lines that hold this")
    parser.add_argument("--json", action="store_true", help="as they are")
    arguments = parser.parse_args()
    try:
        asyncio.run(follow(arguments.job, as_json=arguments.json))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
