"""The command `dead-letters`: list, show, replay, drop."""

import json

import nats.errors

from microdemucs.dead_letters import DeadLetter
from microdemucs.settings import BusSettings
from minio_events.connection import connect
from minio_events.dead_letters import drop, list_dead_letters, replay


async def dead_letters(settings: BusSettings, action: str, numbers: list[str]) -> None:
    """Do `action` (list, show, replay, drop) with the dead letters `numbers`, or with "all".

    Raises SystemExit, before anything is done, if one of them does not exist.
    """
    client = await connect(settings, "dead-letters")
    try:
        existing = {str(letter.number): letter for letter in await list_dead_letters(client)}
        if action == "list":
            _print_list([*existing.values()])
            return
        if not numbers:
            raise SystemExit(f"{action} needs numbers from `list`, or all")
        chosen = list(existing) if numbers == ["all"] else numbers
        for number in chosen:
            if number not in existing:
                raise SystemExit(f"there is no dead letter {number}; see `list`")
        for number in chosen:
            if action == "show":
                _print_letter(existing[number])
            elif action == "replay":
                await replay(client, int(number))
                print(f"{number}: replayed")
            else:
                await drop(client, int(number))
                print(f"{number}: dropped")
    except nats.errors.Error as error:
        raise SystemExit(f"the bus refused: {error}") from error
    finally:
        await client.close()


def _print_list(found: list[DeadLetter]) -> None:
    for letter in found:
        print(
            f"{letter.number:>6}  {letter.time}  {letter.kind:10}  {letter.about}  {letter.reason}"
        )
    print(f"{len(found)} dead letters")


def _print_letter(letter: DeadLetter) -> None:
    print(f"{letter.subject}: {letter.reason}")
    print(f"failed for good at {letter.time}, after {letter.tries} tries")
    print(_readable(letter.body))


def _readable(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:  # the very reason, perhaps
        return body.decode(errors="backslashreplace")
