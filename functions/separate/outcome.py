"""How a run of a job can end."""

from dataclasses import dataclass

from microdemucs.jobs import JobState
from microdemucs.manifest import Manifest
from microdemucs.problems import Cancelled, Rejected


@dataclass(frozen=True, slots=True)
class Done:
    """The stems and the manifest are in the output bucket."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class JobRejected:
    """The job can never succeed, or was cancelled."""

    problem: Rejected

    @property
    def state(self) -> JobState:
        """The job's last state."""
        is_cancelled = isinstance(self.problem, Cancelled)
        return JobState.CANCELLED if is_cancelled else JobState.FAILED


@dataclass(frozen=True, slots=True)
class Superseded:
    """The song was removed, or replaced by another version, while the job was running."""


@dataclass(frozen=True, slots=True)
class WaitingForRanges:
    """The song is divided, and ranges without a result have been requested."""


Outcome = Done | JobRejected | Superseded | WaitingForRanges
