"""The order in which unfinished jobs are expected to end: submitters take turns, as in the bridge.

It is a forecast from the job records. The bridge knows more: which songs wait for another version
of themselves, or for their next attempt.
"""

from collections import defaultdict
from collections.abc import Iterable

from microdemucs.jobs import FINISHED, JobRecord, JobState


def queue_order(jobs: Iterable[JobRecord]) -> list[JobRecord]:
    """Return the unfinished ones of all `jobs`: those that run, then the others in turns.

    The next turn is that of the submitter with the fewest jobs that run or come before; among
    these, of the one whose last job started the longest ago.
    """
    last_started: dict[str, str] = defaultdict(str)
    running, waiting = [], []
    for job in jobs:
        last_started[job.submitter] = max(last_started[job.submitter], job.started)
        if job.state == JobState.RUNNING:
            running.append(job)
        elif job.state not in FINISHED:
            waiting.append(job)
    running.sort(key=lambda job: (job.started, job.id))
    turns: dict[str, int] = defaultdict(int)
    for job in running:
        turns[job.submitter] += 1
    ranked = []
    for job in sorted(waiting, key=lambda job: (job.created, job.id)):
        rank = turns[job.submitter], last_started[job.submitter], job.created, job.id
        turns[job.submitter] += 1
        ranked.append((rank, job))
    ranked.sort(key=lambda entry: entry[0])
    return [*running, *(job for _, job in ranked)]
