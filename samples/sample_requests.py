"""Try every route of the REST API against a running stack, and print what it answers.

    python samples/sample_requests.py [address, default http://127.0.0.1:8080]

API_TOKEN is the bearer token, where the deployment wants one. Ends non-zero where an answer is
not as docs/http.md says. What it registers and uploads it removes again, but for the songs.
"""

import base64
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from standardwebhooks import Webhook, WebhookVerificationError

SONG = Path(__file__).parent / "black_mountain.mp3"
PATIENCE_S = 600
FINISHED = {"done", "failed", "cancelled", "superseded"}


def main(api: "Api", listener: "Listener") -> None:
    """All routes, in the order in which a client would come to need them."""
    song = SONG.read_bytes()

    api.title("Is it there?")
    api.get("/healthz", shows=["status"])
    api.get("/readyz", shows=["status"])
    api.get("/", is_=lambda answer: b"<html" in answer.data[:500].lower())
    api.get("/apiv1/openapi.json", shows=["openapi", "paths"])

    api.title("Webhooks: tell me of every song")
    hook = api.post("/apiv1/webhooks", {"url": listener.url}, 201, shows=["id", "secret"])
    own = f"/apiv1/webhooks/{hook['id']}"
    listener.secrets[hook["id"]] = hook["secret"]
    api.get("/apiv1/webhooks", is_=lambda answer: hook["id"] in answer.data.decode())
    api.get(own, is_=lambda answer: "secret" not in answer.json())
    changed = api.ask("PATCH", own, 200, {"description": "sample_requests.py"})
    api.must(changed.get("description") == "sample_requests.py", "the description is changed")
    api.post("/apiv1/webhooks", {"url": "ftp://x.example"}, 422, shows=["type", "title"])

    api.title("A song into the store, past the API")
    form = upload(api, song, {})
    job = follow(api, form["job"])
    api.must(job.get("state") == "done", "the job is done")
    api.get(form["job"], shows=["id", "state", "stems", "links"])
    api.get("/apiv1/jobs?state=done&limit=1", shows=["jobs", "next"])
    api.get(
        f"/apiv1/jobs?prefix=form/{form['id']}", is_=lambda answer: len(answer.json()["jobs"]) == 1
    )
    api.ask("DELETE", form["job"], 409, shows=["type", "detail"])
    heard = listener.wait("dev.microdemucs.separation.completed", job.get("key", ""))
    api.must(heard, "the webhook has arrived and its signature is right")

    api.title("A song inside JSON")
    body = {
        "mp3": base64.b64encode(song).decode(),
        "callback": {"url": listener.url, "data": {"mine": 1}},
    }
    said = api.post("/apiv1/separate", body, 200, shows=["hash", "reason"])
    hash_ = said.get("hash", "")
    api.must(hash_ == sha256(song).hexdigest(), "the hash is sha256sum's")
    api.get("/apiv1/queue", shows=["queue"])
    follow(api, f"/apiv1/jobs/{hash_}")
    heard = listener.wait("dev.microdemucs.separation.completed", f"{hash_}.mp3", {"mine": 1})
    api.must(heard, "the callback has arrived with its data")
    api.post("/apiv1/separate", {**body, "options": {"format": "mp4"}}, 422, shows=["option"])
    api.post("/apiv1/separate", {"mp3": "not base64"}, 422, shows=["type", "detail"])

    api.title("Its tracks")
    drums = f"/apiv1/track/{hash_}/drums"
    whole = api.ask("GET", drums, 200, is_=_is_mp3)
    api.ask("GET", f"{drums}.mp3", 206, headers={"Range": "bytes=0-99"}, is_=_has(100))
    api.ask("GET", drums, 416, headers={"Range": "bytes=999999999-"})
    api.ask("GET", drums, 304, headers={"If-None-Match": whole.headers.get("ETag", "")})
    api.ask("GET", f"/apiv1/track/{hash_}/base", 200, is_=_is_mp3)
    api.get(f"/apiv1/track/{hash_}/kazoo", 404, shows=["type", "tracks"])

    api.title("Away with some")
    own_hash = job.get("hash", "")
    api.get(f"/apiv1/remove/{own_hash}/drums", shows=["hash", "reason"])
    api.ask("DELETE", f"/apiv1/remove/{own_hash}/base", 200, shows=["reason"])
    api.get(f"/apiv1/track/{own_hash}/drums", 404, shows=["type"])

    api.title("ObjectChanged my mind")
    form = upload(api, song, {"shifts": 5})
    until(lambda: api.send("GET", form["job"]).status == 200)
    api.ask("DELETE", form["job"], 202, shows=["state", "reason"])
    api.must(follow(api, form["job"]).get("state") == "cancelled", "the job is cancelled")

    api.title("What is not there")
    api.get("/apiv1/jobs/0123", 404, shows=["type", "title", "status"])
    api.get("/apiv1/nothing", 404, shows=["type"])
    api.ask("PUT", "/apiv1/queue", 405, shows=["type"])
    api.ask("DELETE", own, 204)
    api.get(own, 404, shows=["type"])


def upload(api: "Api", song: bytes, options: dict[str, Any]) -> dict[str, Any]:
    """Ask for leave, then put `song` straight into the store; the leave."""
    asked = {"filename": SONG.name, "type": "audio/mpeg", "options": options}
    form = api.post("/apiv1/uploads", asked, 201, shows=["url", "fields", "job"])
    file = {"file": (SONG.name, song, "audio/mpeg")}  # the last field, as S3 wants it
    answer = urllib3.request("POST", form["url"], fields=form["fields"] | file)
    print(f"POST {form['url']} (the fields, then the file)\n  → {answer.status}")
    api.must(answer.status in (200, 201, 204), "the store has taken the song")
    return form


def follow(api: "Api", job: str) -> dict[str, Any]:
    """Listen to a job's events until it has finished; the job as it then is."""
    path, last = f"{job}/events", ""
    print(f"GET {path}")
    end = time.monotonic() + PATIENCE_S
    known: dict[str, Any] = {}
    quiet = False  # 204: who has heard the end hears no more
    while not quiet and time.monotonic() < end:
        answer = api.send("GET", path, headers={"Last-Event-ID": last}, preload_content=False)
        quiet = answer.status == 204
        event: dict[str, str] = {}
        for line in _lines(answer):
            name, _, value = line.partition(": ")
            if line:
                event[name] = value
            elif "data" in event:
                known |= json.loads(event["data"])
                last = event.get("id", last)
                print(f"  {event['event']}: {known['state']} {known['phase']}", end=" ")
                print(f"{known['progress']:.0%}")
                event = {}
        answer.release_conn()
    api.must(quiet and known.get("state") in FINISHED, "who has heard the end hears no more (204)")
    return known


def _lines(answer: urllib3.BaseHTTPResponse) -> Any:
    left = b""
    for piece in answer.stream(1):
        left += piece
        *lines, left = left.split(b"\n")
        yield from (line.decode() for line in lines)


def until(told: Callable[[], bool]) -> None:
    """Wait until `told` is true, or PATIENCE_S."""
    end = time.monotonic() + PATIENCE_S
    while not told() and time.monotonic() < end:
        time.sleep(0.2)


def _is_mp3(answer: urllib3.BaseHTTPResponse) -> bool:
    return answer.headers.get("Content-Type") == "audio/mpeg" and len(answer.data) > 10_000


def _has(size: int) -> Callable[[urllib3.BaseHTTPResponse], bool]:
    return lambda answer: len(answer.data) == size


class Api:
    """The API at `address`. Counts in `wrong` what was not as it should be."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        self.wrong = 0
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def title(self, text: str) -> None:
        """Print what comes next."""
        print(f"\n{text}\n{'-' * len(text)}")

    def get(self, path: str, status: int = 200, **expected: Any) -> Any:
        """GET, and print the answer."""
        return self.ask("GET", path, status, **expected)

    def post(self, path: str, body: Any, status: int, **expected: Any) -> Any:
        """POST JSON, and print the answer."""
        return self.ask("POST", path, status, body, **expected)

    def ask(
        self,
        method: str,
        path: str,
        status: int,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        shows: list[str] | None = None,
        is_: Callable[[urllib3.BaseHTTPResponse], bool] | None = None,
    ) -> Any:
        """Send a request, print it and its answer, and hold that against what is expected.

        The answer is its JSON where it is JSON and no `is_` judges it, else the response.
        """
        extra = "".join(f" [{name}: {value}]" for name, value in (headers or {}).items())
        print(f"{method} {path}{extra}" + (f"\n  {_short(body)}" if body is not None else ""))
        answer = self.send(method, path, body=body, headers=headers)
        is_json = "json" in answer.headers.get("Content-Type", "")
        known = answer.json() if is_json else {}
        print(f"  → {answer.status} {_short(known) if is_json else _described(answer)}")
        self.must(answer.status == status, f"the status is {status}", quiet=True)
        for name in shows or []:
            self.must(name in known, f"the answer has {name}", quiet=True)
        if is_:
            self.must(is_(answer), "the answer is as documented", quiet=True)
            return answer
        return known

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """The bare request."""
        return urllib3.request(
            method,
            self.address + path,
            json=body,
            headers=self._headers
            | (headers or {})
            | ({"Content-Type": "application/json"} if body is not None else {}),
            preload_content=preload_content,
            redirect=False,
            retries=False,
            timeout=60,
        )

    def must(self, is_so: object, what: str, *, quiet: bool = False) -> None:
        """Count and print where it is not so."""
        if not is_so:
            self.wrong += 1
            print(f"  ✗ NOT SO: {what}")
        elif not quiet:
            print(f"  ✓ {what}")


class Listener:
    """A webhook's receiver on this machine. `secrets` are those that it verifies with."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.heard: list[tuple[bool, dict[str, Any]]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.heard.append((listener.is_signed(body, self.headers), json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """What was heard is told in its place."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def is_signed(self, body: bytes, headers: Any) -> bool:
        """Whether one of the secrets made the signature."""
        for secret in self.secrets.values():
            try:
                Webhook(secret).verify(body, dict(headers))
            except WebhookVerificationError:
                continue
            return True
        return False

    def wait(self, type_: str, subject: str, callback: Any = None) -> bool:
        """Wait for an event: from a webhook of ours, or, with `callback`, one with that data."""

        def arrived() -> bool:
            return any(
                event["type"] == type_
                and event["subject"] == subject
                and (event["data"].get("callback") == callback if callback else signed)
                for signed, event in self.heard
            )

        print(f"(waiting for {type_} of {subject})")
        until(arrived)
        return arrived()


def _short(value: Any, depth: int = 0) -> str:
    if isinstance(value, dict) and value:
        if depth == 2:
            return "{…}"
        members = (f'"{name}": {_short(one, depth + 1)}' for name, one in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list) and value:
        more = f", … {len(value) - 1} more" if len(value) > 1 else ""
        return f"[{_short(value[0], depth + 1)}{more}]"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:60]}… ({len(text)} characters)"


def _described(answer: urllib3.BaseHTTPResponse) -> str:
    told = [answer.headers.get(name, "") for name in ("Content-Type", "Content-Range", "ETag")]
    return ", ".join(filter(None, [*told, f"{len(answer.data)} bytes"]))


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    if urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"):
        print("The stack is on another machine, whose webhooks will not find the listener here.")
    api = Api(address, os.environ.get("API_TOKEN", ""))
    try:
        main(api, Listener())
    except urllib3.exceptions.HTTPError as error:
        sys.exit(f"{address} does not answer: {error}")
    print(f"\n{api.wrong or 'No'} answers were not as documented.")
    sys.exit(1 if api.wrong else 0)
