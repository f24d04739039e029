"""Run a campaign: an undisturbed run of every kind of song, then the rounds, each checked."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from microdemucs.bus import LEASES
from testing.faults.checks import AWAY, Checks, reference_of
from testing.faults.clients import Clients, Sent
from testing.faults.components import FaultStack
from testing.faults.deliveries import Deliveries
from testing.faults.nemesis import Nemesis
from testing.faults.plan import Kind, Round, Song, Way, draw_rounds
from testing.faults.recipes import RECIPES
from testing.faults.steps import StepWatcher
from testing.faults.timeline import Timeline

# More than the longest delays one after the other: the bridge retries after up to 5 minutes.
_QUIET_WITHIN_S = 420.0
_UPLOADS_EXPIRE_WITHIN_S = 180.0
_LOOK_S = 0.3


class Violated(Exception):
    """Something did not hold after a round; the text says what."""


class Campaign:
    """One campaign on a stack that runs."""

    def __init__(self, stack: FaultStack, timeline: Timeline) -> None:
        self._stack = stack
        self._timeline = timeline
        self._clients = Clients(stack, timeline)
        self._prepared: dict[Song, tuple[Sent, bytes]] = {}
        self._steps = StepWatcher(stack)
        self._nemesis = Nemesis(stack, self._steps, timeline, self._send)
        webhook = stack.api(
            "POST", "/apiv1/webhooks", {"url": f"http://127.0.0.1:{stack.receiver_port}/webhook"}
        )
        deliveries = Deliveries(
            stack.received, webhook["secret"], stack.environment.variables["CALLBACK_SECRET"]
        )
        self._deliveries = deliveries
        self._checks = Checks(stack, self._clients, deliveries)

    def run(self, seed: int, faults: int, kinds: frozenset[Kind]) -> None:
        """Do so many faults. Raises Violated after the first round that does not hold."""
        try:
            self._undisturbed_run()
            for round_ in draw_rounds(seed, faults, self._lease_seconds(), kinds):
                self._do_round(round_)
            self._until(self._checks.multipart_uploads, _UPLOADS_EXPIRE_WITHIN_S)
        finally:
            self._clients.stop()
            self._nemesis.stop()
            self._steps.close()
            self._stack.save_log()

    def _lease_seconds(self) -> float:
        async def read(client: Any) -> float:
            info = await client.jetstream().stream_info(f"KV_{LEASES}")
            return float(info.config.max_age)

        return float(self._stack.on_bus("provision", read))

    def _undisturbed_run(self) -> None:
        ways = [(recipe.name, Way.PUT) for recipe in RECIPES.values()]
        ways += [
            (recipe.name, Way.OTHER_OPTIONS)
            for recipe in RECIPES.values()
            if recipe.other_options is not None
        ]
        for number, (recipe_name, way) in enumerate(ways, 1):
            sent, body = self._clients.prepare(Song(-number, recipe_name, way, 0.0))
            self._clients.send(sent, body)
            self._wait_until_quiet([sent])
            result = self._checks.result(sent.key)
            self._checks.references[reference_of(sent, sent.options)] = result or {}
            self._timeline.add("undisturbed", song=sent.key, result=result)
            self._clients.remove(sent)
        self._timeline.add("memory", bytes=self._checks.measure_memory())

    def _do_round(self, round_: Round) -> None:
        self._timeline.add(
            "round started", round=round_.number, faults=[asdict(fault) for fault in round_.faults]
        )
        self._prepared = {song: self._clients.prepare(song) for song in round_.all_songs}
        songs = [sent for sent, _ in self._prepared.values()]
        self._steps.expected_files = {sent.key: self._expected_files(sent) for sent in songs}
        for song in round_.songs:
            self._send(song)
        faults = [_start(self._nemesis.do, fault) for fault in round_.faults]
        for fault in faults:
            fault.join()
        begun = time.monotonic()
        try:
            self._wait_until_quiet(songs)
            self._until(lambda: self._checks.results(songs), 30)
            self._until(self._checks.memory, 30)
        finally:
            self._stack.save_log()
        self._timeline.add(
            "round held",
            round=round_.number,
            songs=len(songs),
            seconds=round(time.monotonic() - begun, 1),
            deliveries=self._deliveries.count,
        )
        for sent in songs:
            self._clients.remove(sent)

    def _send(self, song: Song) -> None:
        _start(self._clients.send, *self._prepared[song])

    def _expected_files(self, sent: Sent) -> tuple[str, ...]:
        result = self._checks.references[reference_of(sent, sent.options)]
        return () if "problem" in result else tuple(result)

    def _wait_until_quiet(self, songs: Iterable[Sent]) -> None:
        listed = list(songs)
        self._until(lambda: self._checks.unfinished(listed), _QUIET_WITHIN_S)

    def _until(self, check: Callable[[], list[str]], seconds: float) -> None:
        """Return when nothing is wrong. Raises Violated if something is after `seconds`."""
        end = time.monotonic() + seconds
        before: list[str] = []
        while True:
            problems = ["a component does not answer"]
            with suppress(*AWAY):
                problems = check()
            if not problems:
                return
            if problems != before:
                self._timeline.add("unfinished", problems=problems[:5])
                before = problems
            if time.monotonic() > end or self._checks.beyond_repair:
                raise Violated("\n".join(problems))
            time.sleep(_LOOK_S)


def run_campaign(stack: FaultStack, folder: Path, seed: int, faults: int, skipped: str) -> None:
    """Run a campaign and write its timeline into `folder`. Raises Violated.

    `skipped` is why the faults of network and disk cannot be done, or "".
    """
    timeline = Timeline(folder / "timeline.jsonl")
    kinds = frozenset({Kind.KILL, Kind.PAUSE} if skipped else Kind)
    timeline.add("campaign started", seed=seed, faults=faults, kinds=sorted(kinds), skipped=skipped)
    try:
        with stack:
            Campaign(stack, timeline).run(seed, faults, kinds)
    except Violated as violation:
        timeline.add("violation", problems=str(violation))
        raise
    timeline.add("campaign held")


def _start(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
