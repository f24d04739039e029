"""Replay and drop dead letters for upload, which may only read them.

A request names one by its number (microdemucs.dead_letters). Of several bridges one answers it.
"""

import asyncio
import logging

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from microdemucs.dead_letters import DROP_SUBJECT, REPLAY_SUBJECT, Outcome
from microdemucs.plain_numbers import whole_number
from minio_events.dead_letters import drop, replay

log = logging.getLogger(__name__)

_ACTIONS = {REPLAY_SUBJECT: ("replayed", replay), DROP_SUBJECT: ("dropped", drop)}
_ANSWERERS = "bridge"


async def answer_requests(client: Client) -> None:
    """Answer requests until cancelled."""

    async def answer(request: Msg) -> None:
        await client.publish(request.reply, (await _act_on(client, request)).encode())

    for subject in _ACTIONS:
        await client.subscribe(subject, queue=_ANSWERERS, cb=answer)
    await asyncio.Event().wait()


async def _act_on(client: Client, request: Msg) -> Outcome:
    done, act = _ACTIONS[request.subject]
    number = whole_number(request.data.decode(errors="replace"))
    if not number:
        return Outcome.UNKNOWN
    try:
        await act(client, number)
    except nats.js.errors.NotFoundError:
        return Outcome.UNKNOWN
    except nats.errors.Error as error:
        about = {"number": number, "reason": str(error)}
        log.warning("dead letter left as it is: the bus refused", extra=about)
        return Outcome.FAILED
    log.info(f"dead letter {done}", extra={"number": number})
    return Outcome.DONE
