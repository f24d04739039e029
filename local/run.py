"""Start the stack, separate a song, and print its stems and webhook (`make run`).

python -m local.run [SONG] [--once]
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from minio import Minio

from local.api import Api
from local.environment import Environment
from local.progress_bar import ProgressBar
from local.stack import stack, why_it_ended
from local.webhook_receiver import WebhookReceiver, pretty
from microdemucs import store
from microdemucs.bucket import Bucket
from microdemucs.jobs import PHASES, JobState
from microdemucs.paths import ROOT
from microdemucs.result_store import read_manifest
from microdemucs.settings import StoreSettings

_SAMPLES = ROOT / "samples"
_WEBHOOK_S = 60
_EVENTS = ["dev.microdemucs.separation.completed", "dev.microdemucs.separation.failed"]
_STOPPED = (130, 143)  # honcho's exit codes after SIGINT and SIGTERM


def run(song: Path, output: Path, *, once: bool) -> None:
    """Start the stack and separate `song` into `output`; stay up until Ctrl-C unless `once`.

    Raises SystemExit.
    """
    if not song.is_file():
        raise SystemExit(f"{song} is not a file: make run SONG=path/to/song.mp3")
    environment = Environment.create()
    timings: dict[str, float] = {}
    with ExitStack() as up:
        with _phase("starting", timings):
            honcho = up.enter_context(stack(environment))
        _separate(environment, song, output, timings)
        if once:
            return
        print(
            f"\nThe stack is up; Ctrl-C stops it.\n"
            f"  web form  {environment.upload_url}/\n"
            f"  API       {environment.upload_url}/apiv1/openapi.json\n"
            f"  store     {environment.store_url}"
            f"  (buckets songs and stems; keys in {environment.folder}/secrets)\n"
            f"  logs      make logs",
            flush=True,
        )
        if honcho.wait() not in _STOPPED:
            raise SystemExit(why_it_ended(environment.folder / "stack.log", "unexpectedly"))
        print("stopped by `make stop`")


def _separate(
    environment: Environment, song: Path, output: Path, timings: dict[str, float]
) -> None:
    """Upload `song`, follow its job, fetch its stems, wait for its webhook, and print them."""
    api, receiver = Api(environment.upload_url), WebhookReceiver()
    client = _connect_as_root(environment)
    webhook = api.call("POST", "/apiv1/webhooks", {"url": receiver.url, "events": _EVENTS})
    receiver.secret = webhook["secret"]
    try:
        # A folder for each run, so that the same song is a new job.
        key = time.strftime("%Y-%m-%dT%H-%M-%S/") + song.name
        with _phase("sending the song", timings):
            client.fput_object("songs", key, str(song))
        job = _follow_job(api, key, timings)
        if job["state"] != JobState.DONE:
            problem = job.get("problem") or {}
            raise SystemExit(f"{job['state']}: {problem.get('detail') or problem.get('title')}")
        with _phase("fetching the stems", timings) as bar:
            paths = _fetch_stems(client, key, output / song.stem, bar)
        event = receiver.wait_for(key, _WEBHOOK_S)
        if not event:
            raise SystemExit(f"no webhook within {_WEBHOOK_S} s: see `make logs`")
    finally:
        api.call("DELETE", f"/apiv1/webhooks/{webhook['id']}")
        receiver.close()
    print("\nwebhook (signature verified):\n" + pretty(event))
    for warning in job["warnings"]:
        print(f"\nnote: {warning}")
    print(
        "\ntimes:  " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in timings.items())
    )
    print("\nstems:")
    for path in paths:
        print(f"  {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


@contextmanager
def _phase(name: str, timings: dict[str, float]) -> Iterator[ProgressBar]:
    """Show a progress bar; add how long the phase took to `timings`."""
    with ProgressBar(name) as bar:
        yield bar
    timings[name] = bar.seconds


def _follow_job(api: Api, key: str, timings: dict[str, float]) -> dict[str, Any]:
    """Return the finished job; show a progress bar for each of its phases."""
    job: dict[str, Any] = {}
    shown = ""
    with ExitStack() as open_phase:
        for job in api.follow_job(key):
            phase = job["phase"] or ("waiting" if not job["finished"] else "")
            if phase != shown:
                open_phase.close()
                shown = phase
                if phase:
                    bar = open_phase.enter_context(_phase(phase, timings))
            if phase in PHASES:
                begin, end = PHASES[phase]
                bar.update((job["progress"] - begin) / (end - begin))
    return job


def _fetch_stems(client: Minio, key: str, folder: Path, bar: ProgressBar) -> list[Path]:
    bucket = Bucket(client, "stems")
    manifest = read_manifest(bucket, key)
    stems = manifest.stems if manifest else []
    for number, stem in enumerate(stems, 1):
        bucket.download_file(stem.key, str(folder / stem.file))
        bar.update(number / len(stems))
    return [folder / stem.file for stem in stems]


def _connect_as_root(environment: Environment) -> Minio:
    variables = environment.for_component("provision")
    settings = StoreSettings(
        url=environment.store_url,
        access_key=variables["STORE_ACCESS_KEY"],
        secret_key=variables["STORE_SECRET_KEY"],
    )
    return store.connect(settings)


def main() -> None:
    """Read the command line; Ctrl-C and SIGTERM stop everything that was started."""
    parser = argparse.ArgumentParser(prog="local.run", description=__doc__)
    parser.add_argument("song", nargs="?", type=Path, default=next(_SAMPLES.glob("*.mp3"), None))
    parser.add_argument("--once", action="store_true", help="stop the stack after the song")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="the folder for the stems")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run(arguments.song, arguments.out, once=arguments.once)
    except KeyboardInterrupt:
        print("\nstopped")


if __name__ == "__main__":
    main()
