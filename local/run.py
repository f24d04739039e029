"""`make run`: start the stack, give it a song, wait for the stems and the webhook.

python -m local.run [SONG] [--once]
"""

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minio import Minio

from local.api import Api
from local.bar import Bar
from local.environment import Environment
from local.listener import Listener, pretty
from local.stack import stack
from microdemucs import store
from microdemucs.jobs import PHASES, JobState
from microdemucs.manifest import manifest_key
from microdemucs.paths import ROOT
from microdemucs.settings import StoreSettings

_SAMPLES = ROOT / "samples"
_WEBHOOK_S = 60
_TOLD_TO_STOP = (130, 143)  # honcho's own codes after SIGINT, SIGTERM
_EVENTS = ["dev.microdemucs.separation.completed", "dev.microdemucs.separation.failed"]


def run(song: Path, out: Path, *, once: bool) -> None:
    """Do the whole way once, then stay up until Ctrl-C (not with `once`). Raises SystemExit."""
    if not song.is_file():
        raise SystemExit(f"{song} is no file: make run SONG=path/to/song.mp3")
    environment = Environment.create()
    took: dict[str, float] = {}
    with ExitStack() as up:
        with Bar("starting") as bar:
            honcho = up.enter_context(stack(environment))
        took["starting"] = bar.seconds
        separated(environment, song, out, took)
        if once:
            return
        print(
            f"\nThe stack is up; Ctrl-C stops it.\n"
            f"  web form  {environment.upload_url}/\n"
            f"  API       {environment.upload_url}/apiv1/openapi.json\n"
            f"  store     {environment.store_url}  (buckets songs and stems; keys in {environment.folder}/secrets)\n"
            f"  logs      make logs",
            flush=True,
        )
        if honcho.wait() not in _TOLD_TO_STOP:
            raise SystemExit(f"a part of the stack has ended: see {environment.folder}/stack.log")
        print("stopped from elsewhere")


def separated(environment: Environment, song: Path, out: Path, took: dict[str, float]) -> None:
    """Drop `song`, follow its job, fetch its stems and wait for its webhook; print what came."""
    api, listener = Api(environment.upload_url), Listener()
    client = _root(environment)
    webhook = api.call("POST", "/apiv1/webhooks", {"url": listener.url, "events": _EVENTS})
    listener.secret = webhook["secret"]
    try:
        # A folder of its own for each run: the same song again is a job again.
        key = time.strftime("%Y-%m-%dT%H-%M-%S/") + song.name
        with Bar("dropping into songs") as bar:
            client.fput_object("songs", key, str(song))
        took["dropping"] = bar.seconds
        job = _followed(api, key, took)
        if job["state"] != JobState.DONE:
            problem = job.get("problem") or {}
            raise SystemExit(f"{job['state']}: {problem.get('detail') or problem.get('title')}")
        with Bar("fetching the stems") as bar:
            paths = _fetched(client, key, out / song.stem, bar)
        took["fetching"] = bar.seconds
        event = listener.wait(key, _WEBHOOK_S)
        if not event:
            raise SystemExit(f"no webhook came within {_WEBHOOK_S} s: see `make logs`")
    finally:
        api.call("DELETE", f"/apiv1/webhooks/{webhook['id']}")
        listener.close()
    print("\nwebhook, its signature verified:\n" + pretty(event))
    for warning in job["warnings"]:
        print(f"\nnote: {warning}")
    print("\n" + "  ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()))
    print("\nstems:")
    for path in paths:
        print(f"  {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _followed(api: Api, key: str, took: dict[str, float]) -> dict[str, Any]:
    """The finished job; a bar for each phase that it went through."""
    bar: Bar | None = None
    now = ""
    job: dict[str, Any] = {}
    for job in api.follow(key):
        phase = job["phase"] or ("waiting" if not job["finished"] else "")
        if phase != now:
            if bar:
                bar.__exit__(None, None, None)
                took[now] = bar.seconds
            bar, now = (Bar(phase) if phase else None), phase
        if bar and now in PHASES:
            begin, end = PHASES[now]
            bar.at((job["progress"] - begin) / (end - begin))
    return job


def _fetched(client: Minio, key: str, folder: Path, bar: Bar) -> list[Path]:
    manifest = store.read_json(client, "stems", manifest_key(key)) or {"stems": []}
    paths = []
    for number, stem in enumerate(manifest["stems"], 1):
        path = folder / stem["key"].rsplit("/", 1)[1]
        client.fget_object("stems", stem["key"], str(path))
        paths.append(path)
        bar.at(number / len(manifest["stems"]))
    return paths


def _root(environment: Environment) -> Minio:
    variables = environment.for_component("provision")
    settings = StoreSettings(
        environment.store_url,
        environment.store_url,
        variables["STORE_ACCESS_KEY"],
        variables["STORE_SECRET_KEY"],
    )
    return store.connect(settings)


def main() -> None:
    """Read the command line; Ctrl-C and SIGTERM end everything that was started."""
    parser = argparse.ArgumentParser(prog="local.run", description=__doc__)
    parser.add_argument("song", nargs="?", type=Path, default=next(_SAMPLES.glob("*.mp3"), None))
    parser.add_argument("--once", action="store_true", help="stop the stack at the end")
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="where the stems go")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run(arguments.song, arguments.out, once=arguments.once)
    except KeyboardInterrupt:
        print("\nstopped")


if __name__ == "__main__":
    main()
