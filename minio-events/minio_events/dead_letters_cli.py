"""The command for dead letters: list, show, replay, drop."""

import json

import nats.errors

from microdemucs.settings import BusSettings
from minio_events import dead_letters
from minio_events.connection import connect


async def deadletters(action: str, numbers: list[str]) -> None:
    """Do `action` with the letters `numbers` ("all": every one). Raises SystemExit."""
    client = await connect(BusSettings(), "deadletters")
    try:
        there = await dead_letters.letters(client)
        if action == "list":
            for one in there:
                print(f"{one.number:>6}  {one.time}  {one.kind:10}  {one.about}  {one.reason}")
            print(f"{len(there)} dead letters")
            return
        known = {str(one.number): one for one in there}
        if not numbers:
            raise SystemExit(f"{action} which? Name numbers as `list` shows them, or all")
        chosen = list(known) if numbers == ["all"] else numbers
        for number in chosen:
            if number not in known:
                raise SystemExit(f"there is no dead letter {number}; `list` shows which there are")
        for number in chosen:
            if action == "show":
                print(f"{known[number].subject}: {known[number].reason}")
                print(f"given up {known[number].time}, tried {known[number].tries} times")
                print(_readable(known[number].body))
            else:
                do = dead_letters.replay if action == "replay" else dead_letters.drop
                await do(client, int(number))
                print(f"{number}: {'sent again' if action == 'replay' else 'dropped'}")
    except nats.errors.Error as error:
        raise SystemExit(f"the bus refused: {error}") from error
    finally:
        await client.close()


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:  # that may be why it is here
        return body.decode(errors="backslashreplace")
