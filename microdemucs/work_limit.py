"""Refuse a job that would be too much work, as soon as its length and options are known."""

from dataclasses import dataclass

from microdemucs.options import Options
from microdemucs.problems import Rejected
from microdemucs.work_estimate import WorkEstimate, output_bytes


@dataclass(frozen=True, slots=True)
class WorkLimit:
    """The most work that one job may be.

    `network_seconds` is how much audio may go through a network, in seconds. `output_bytes` is how
    large its stems may be together.
    """

    network_seconds: float = float("inf")
    output_bytes: float = float("inf")

    def check(self, estimate: WorkEstimate, options: Options) -> None:
        """Raise Rejected (too-much-work, too-much-output) if the job is beyond the limit."""
        self._check(estimate.network_seconds, estimate.output_bytes, options)

    def check_least(self, seconds: float, options: Options) -> None:
        """Raise Rejected if a song of so many seconds is beyond the limit with every model."""
        network_seconds = max(1, options.shifts) * seconds / (1 - options.overlap)
        stems = 2 if options.two_stems else max(1, len(options.stems))
        self._check(network_seconds, output_bytes(stems, seconds, options), options)

    def _check(self, network_seconds: float, stem_bytes: int, options: Options) -> None:
        if network_seconds > self.network_seconds:
            raise Rejected(
                "too-much-work",
                "Separating the song with these options is too much work",
                f"it puts {network_seconds:.0f} s of audio through a network, over all passes; at "
                f"most {self.network_seconds:.0f} s are accepted: send {_less_work(options)}",
                network_seconds=round(network_seconds, 3),
                limit=self.network_seconds,
            )
        if stem_bytes > self.output_bytes:
            raise Rejected(
                "too-much-output",
                "The stems of the song would be too large",
                f"they may take {stem_bytes} bytes; at most {self.output_bytes:.0f} are "
                f"accepted: send {_less_output(options)}",
                output_bytes=stem_bytes,
                limit=int(self.output_bytes),
            )


NO_LIMIT = WorkLimit()


def _less_work(options: Options) -> str:
    """Return what costs more than the defaults do, and how to change it."""
    default = Options()
    ways = []
    if options.shifts > 1:
        ways.append(f"fewer shifts than {options.shifts}")
    if options.overlap > default.overlap:
        ways.append(f"less overlap than {options.overlap:g}")
    if options.segment:
        ways.append(f"a longer segment than {options.segment:g} s, or none")
    return ", ".join([*ways, "a model of fewer networks, or a shorter song"])


def _less_output(options: Options) -> str:
    ways = []
    if options.format == "mp3":
        ways.append(f"a lower bitrate than {options.bitrate}")
    else:
        ways.append("the format mp3")
        if options.bits > Options().bits:
            ways.append(f"fewer bits than {options.bits}")
    return ", ".join([*ways, "fewer stems, or a shorter song"])
