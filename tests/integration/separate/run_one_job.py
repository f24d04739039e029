"""Run one job in a process of its own: its settings and the song's record come from outside.

The process stops itself with SIGSTOP when the job begins the phase that the second argument names.
It ends with status 0 if the event has been handled, and 3 if it must come again.
"""

import json
import os
import signal
import sys

from functions.separate.context import build_context
from functions.separate.job import Job
from functions.separate.job_runner import run_job
from functions.separate.progress import ProgressReporter
from microdemucs.events import object_from_record
from microdemucs.jobs import job_id
from microdemucs.problems import RetryLater


def stop_in_phase(phase: str) -> None:
    """Stop this process once, when its job begins this phase."""
    raise_if_interrupted = ProgressReporter.raise_if_interrupted
    stopped: list[str] = []

    def stop_first(progress: ProgressReporter) -> None:
        raise_if_interrupted(progress)
        if progress.record.phase == phase and not stopped:
            stopped.append(phase)
            os.kill(os.getpid(), signal.SIGSTOP)

    setattr(ProgressReporter, "raise_if_interrupted", stop_first)  # noqa: B010


if __name__ == "__main__":
    song = object_from_record(json.loads(sys.argv[1]))
    stop_in_phase(sys.argv[2])
    job = Job(job_id(song), song, "", song.metadata.get("callback", ""))
    try:
        run_job(job, build_context())
    except RetryLater as error:
        print(error.kind)
        sys.exit(3)
