"""The command for dead letters: list, show, replay, drop."""

import json

import nats.js.errors

from microdemucs.settings import BusSettings
from minio_events import letters
from minio_events.connection import connect


async def deadletters(action: str, numbers: list[str]) -> None:
    """Do `action` with the letters `numbers` ("all": every one). Raises SystemExit."""
    client = await connect(BusSettings(), "deadletters")
    try:
        there = await letters.letters(client)
        if action == "list":
            for one in there:
                print(f"{one.number:>6}  {one.time}  {one.kind:10}  {one.about}  {one.reason}")
            print(f"{len(there)} dead letters")
            return
        known = {str(one.number): one for one in there}
        chosen = list(known) if numbers == ["all"] else numbers
        for number in chosen:
            if number not in known:
                raise SystemExit(f"there is no dead letter {number}; `list` shows which there are")
            if action == "show":
                print(f"{known[number].subject}: {known[number].reason}")
                print(f"given up {known[number].time} after {known[number].tries} failures")
                print(json.dumps(json.loads(known[number].body), indent=2, ensure_ascii=False))
            else:
                do = letters.replay if action == "replay" else letters.drop
                await do(client, int(number))
                print(f"{number}: {'sent again' if action == 'replay' else 'dropped'}")
    except nats.js.errors.APIError as error:
        raise SystemExit(f"the bus refused: {error.description}") from error
    finally:
        await client.close()
