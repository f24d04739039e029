"""Call every route of the REST API of a running stack, and print each request and response.

    python samples/sample_requests.py [address, default http://127.0.0.1:8080]

API_TOKEN is the bearer token, if the deployment requires one. The exit status is non-zero if a
response differs from docs/http.md. The script deletes the webhook that it registers; the songs
that it uploads stay.
"""

import base64
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3
from standardwebhooks import Webhook, WebhookVerificationError

SONG = Path(__file__).parent / "black_mountain.mp3"
TIMEOUT_S = 600
FINISHED = {"done", "failed", "cancelled", "superseded"}


def main(api: "Api", receiver: "WebhookReceiver") -> None:
    """Call all routes, in the order in which a client needs them."""
    song = SONG.read_bytes()

    api.title("Is the service ready?")
    api.get("/healthz", members=["status"])
    api.get("/readyz", members=["status"])
    api.get("/", check=lambda response: b"<html" in response.data[:500].lower())
    api.get("/apiv1/openapi.json", members=["openapi", "paths"])

    api.title("Register a webhook")
    webhook = api.post("/apiv1/webhooks", {"url": receiver.url}, 201, members=["id", "secret"])
    webhook_path = f"/apiv1/webhooks/{webhook['id']}"
    receiver.secrets.append(webhook["secret"])
    api.get("/apiv1/webhooks", check=lambda response: webhook["id"] in response.data.decode())
    api.get(webhook_path, check=lambda response: "secret" not in response.json())
    changed = api.request("PATCH", webhook_path, 200, {"description": "sample_requests.py"})
    api.check(changed.get("description") == "sample_requests.py", "the description is changed")
    api.post("/apiv1/webhooks", {"url": "ftp://x.example"}, 422, members=["type", "title"])

    api.title("List the models")
    api.get("/apiv1/models", members=["models", "default", "complete"])
    unknown = {"filename": SONG.name, "options": {"model": "no-such-model"}}
    api.post("/apiv1/uploads", unknown, 422, members=["option", "accepts"])

    api.title("Upload a song straight to the store")
    upload = upload_song(api, song, {})
    job = follow(api, upload["job"])
    api.check(job.get("state") == "done", "the job is done")
    api.get(upload["job"], members=["id", "state", "stems", "links"])
    api.get("/apiv1/jobs?state=done&limit=1", members=["jobs", "next"])
    api.get(
        f"/apiv1/jobs?prefix=form/{upload['id']}",
        check=lambda response: len(response.json()["jobs"]) == 1,
    )
    received = receiver.wait_for("dev.microdemucs.separation.completed", job.get("key", ""))
    api.check(received, "the webhook has arrived with a valid signature")

    api.title("Send a song inside JSON")
    body = {
        "mp3": base64.b64encode(song).decode(),
        "callback": {"url": receiver.url, "data": {"order": 7}},
    }
    hash_ = api.post("/apiv1/separate", body, 200, members=["hash", "reason"]).get("hash", "")
    api.check(hash_ == sha256(song).hexdigest(), "the hash is the SHA-256 of the song")
    api.get("/apiv1/queue", members=["queue"])
    follow(api, f"/apiv1/jobs/{hash_}")
    received = receiver.wait_for(
        "dev.microdemucs.separation.completed", f"{hash_}.mp3", callback={"order": 7}
    )
    api.check(received, "the callback has arrived with its data")
    api.post("/apiv1/separate", {**body, "options": {"format": "mp4"}}, 422, members=["option"])
    api.post("/apiv1/separate", {"mp3": "not base64"}, 422, members=["type", "detail"])

    api.title("Send a song as a form, and as it is, with an idempotency key")
    members = ["hash", "reason", "job", "state"]
    form, form_type = urllib3.encode_multipart_formdata({"file": (SONG.name, song, "audio/mpeg")})
    key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    first = api.send_song("/apiv1/separate", form, form_type, key, 200, members)
    again = api.send_song("/apiv1/separate", song, "audio/mpeg", key, 200, members)
    api.check(again == first, "the same request with the same key has the same answer")
    api.send_song("/apiv1/separate?shifts=1", song, "audio/mpeg", key, 422, ["type"])
    api.send_song("/apiv1/separate", song, "text/plain", {}, 415, ["accepts"])

    api.title("Download stems")
    drums = f"/apiv1/track/{hash_}/drums"
    whole = api.request("GET", drums, 200, check=_is_mp3)
    api.request("GET", f"{drums}.mp3", 206, headers={"Range": "bytes=0-99"}, check=_has_size(100))
    api.request("GET", drums, 416, headers={"Range": "bytes=999999999-"})
    api.request("GET", drums, 304, headers={"If-None-Match": whole.headers.get("ETag", "")})
    api.request("GET", f"/apiv1/track/{hash_}/base", 200, check=_is_mp3)
    api.request("GET", f"/apiv1/jobs/{hash_}/live/drums", 200, check=_is_mp3)
    api.get(f"/apiv1/track/{hash_}/kazoo", 404, members=["type", "tracks"])
    api.request("GET", f"/apiv1/jobs/{hash_}/peaks", 200, check=_is_peaks)
    api.get(f"/apiv1/jobs/{hash_}/peaks?from=x", 422, members=["type", "accepts"])
    api.get(f"/apiv1/jobs/{hash_}/cover", 404, members=["type"])

    api.title("Take a song away, and share it")
    done = f"/apiv1/jobs/{hash_}"
    api.request("GET", f"{done}/stems.zip", 200, check=_begins_with(b"PK"))
    api.request("GET", f"{done}/mix.mp3?vocals=0", 200, check=_is_mp3)
    api.request("GET", f"{done}/mix.flac?drums=0.5&drums.pan=-1", 200, check=_begins_with(b"fLaC"))
    api.request("GET", f"{done}/mix.mp3?kazoo=1", 422, members=["type", "accepts"])
    api.request("GET", f"{done}/stem.mp4", 200, check=lambda response: b"stem" in response.data)
    link = api.post(f"{done}/share", {"hours": 1}, 201, members=["url", "token", "expires"])
    job_id = parse_qs(urlsplit(link["url"]).fragment)["job"][0]  # the hash is not accepted there
    shared = f"/apiv1/jobs/{job_id}?share={link['token']}"
    api.get(shared, members=["id", "stems"])
    api.request("DELETE", shared, 403)

    api.title("Remove stems")
    uploaded_hash = job.get("hash", "")
    own_page = {"Sec-Fetch-Site": "same-origin"}
    drums = f"/apiv1/remove/{uploaded_hash}/drums"
    api.request("GET", drums, 200, headers=own_page, members=["hash", "reason"])
    api.request("DELETE", f"/apiv1/remove/{uploaded_hash}/base", 200, members=["reason"])
    api.get(f"/apiv1/track/{uploaded_hash}/drums", 404, members=["type"])
    api.request("DELETE", upload["job"], 200, members=["reason", "removed"])

    api.title("Cancel a job")
    upload = upload_song(api, song, {"shifts": 5})
    wait_until(lambda: api.send("GET", upload["job"]).status == 200)
    api.request("DELETE", upload["job"], 202, members=["state", "reason"])
    api.check(follow(api, upload["job"]).get("state") == "cancelled", "the job is cancelled")

    api.title("Errors, and deleting the webhook")
    api.get("/apiv1/jobs/0123", 404, members=["type", "title", "status"])
    api.get("/apiv1/nothing", 404, members=["type"])
    api.request("PUT", "/apiv1/queue", 405, members=["type"])
    api.request("DELETE", webhook_path, 204)
    api.get(webhook_path, 404, members=["type"])


def upload_song(api: "Api", song: bytes, options: dict[str, Any]) -> dict[str, Any]:
    """Get a presigned form, upload `song` with it straight to the store, and return the form."""
    body = {"filename": SONG.name, "type": "audio/mpeg", "options": options}
    upload: dict[str, Any] = api.post("/apiv1/uploads", body, 201, members=["url", "fields", "job"])
    file = {"file": (SONG.name, song, "audio/mpeg")}  # S3 requires the file as the last field
    response = urllib3.request("POST", upload["url"], fields=upload["fields"] | file)
    print(f"POST {upload['url']} (the fields, then the file)\n  → {response.status}")
    api.check(response.status in (200, 201, 204), "the store has accepted the song")
    return upload


def follow(api: "Api", job_path: str) -> dict[str, Any]:
    """Read a job's events until it has finished, and return the job."""
    path, last_event_id = f"{job_path}/events", ""
    print(f"GET {path}")
    end = time.monotonic() + TIMEOUT_S
    job: dict[str, Any] = {}
    is_over = False  # a client that has read the last event gets 204
    while not is_over and time.monotonic() < end:
        headers = {"Last-Event-ID": last_event_id}
        response = api.send("GET", path, headers=headers, preload_content=False)
        is_over = response.status == 204
        event: dict[str, str] = {}
        for line in _lines(response):
            name, _, value = line.partition(": ")
            if line:
                event[name] = value
            elif "data" in event:
                job |= json.loads(event["data"])
                last_event_id = event.get("id", last_event_id)
                print(f"  {event['event']}: {job['state']} {job['phase']} {job['progress']:.0%}")
                event = {}
        response.release_conn()
    api.check(is_over and job.get("state") in FINISHED, "the job has finished, and then 204")
    return job


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[str]:
    incomplete = b""
    for chunk in response.stream(1):
        incomplete += chunk
        *lines, incomplete = incomplete.split(b"\n")
        yield from (line.decode() for line in lines)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` is true, at most TIMEOUT_S."""
    end = time.monotonic() + TIMEOUT_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)


def _begins_with(start: bytes) -> Callable[[urllib3.BaseHTTPResponse], bool]:
    return lambda response: bool(response.data.startswith(start))


def _is_mp3(response: urllib3.BaseHTTPResponse) -> bool:
    return response.headers.get("Content-Type") == "audio/mpeg" and len(response.data) > 10_000


def _is_peaks(response: urllib3.BaseHTTPResponse) -> bool:
    return response.data.startswith(b'{"stems":["drums",')


def _has_size(size: int) -> Callable[[urllib3.BaseHTTPResponse], bool]:
    return lambda response: len(response.data) == size


class Api:
    """A client of the API at `address`. It counts unexpected responses in `failures`."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        self.failures = 0
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def title(self, text: str) -> None:
        """Print a heading."""
        print(f"\n{text}\n{'-' * len(text)}")

    def get(self, path: str, status: int = 200, **expected: Any) -> Any:
        """Send a GET request and check the response."""
        return self.request("GET", path, status, **expected)

    def post(self, path: str, body: Any, status: int, **expected: Any) -> Any:
        """POST JSON and check the response."""
        return self.request("POST", path, status, body, **expected)

    def request(
        self,
        method: str,
        path: str,
        status: int,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        members: list[str] | None = None,
        check: Callable[[urllib3.BaseHTTPResponse], bool] | None = None,
    ) -> Any:
        """Send a request, print it and its response, and check status, members and `check`.

        Returns the response's JSON; if it is not JSON, or `check` is given, the response itself.
        """
        shown_headers = "".join(f" [{name}: {value}]" for name, value in (headers or {}).items())
        shown_body = f"\n  {_shorten(body)}" if body is not None else ""
        print(f"{method} {path}{shown_headers}{shown_body}")
        response = self.send(method, path, body=body, headers=headers)
        is_json = "json" in response.headers.get("Content-Type", "")
        document = response.json() if is_json else {}
        print(f"  → {response.status} {_shorten(document) if is_json else _summary(response)}")
        self.check(response.status == status, f"the status is {status}", quiet=True)
        for name in members or []:
            self.check(name in document, f"the response has the member {name}", quiet=True)
        if check:
            self.check(check(response), "the response is as documented", quiet=True)
            return response
        return document

    def send_song(
        self,
        path: str,
        body: bytes,
        content_type: str,
        headers: dict[str, str],
        status: int,
        members: list[str],
    ) -> Any:
        """POST bytes, print the request and its response, and check status and members."""
        shown_headers = "".join(f" [{name}: {value}]" for name, value in headers.items())
        print(f"POST {path}{shown_headers}\n  {len(body)} bytes of {content_type}")
        headers = self._headers | headers | {"Content-Type": content_type}
        response = urllib3.request(
            "POST", self.address + path, body=body, headers=headers, retries=False, timeout=60
        )
        document = response.json()
        location = response.headers.get("Location", "")
        print(f"  → {response.status} {location} {_shorten(document)}")
        self.check(response.status == status, f"the status is {status}", quiet=True)
        for name in members:
            self.check(name in document, f"the response has the member {name}", quiet=True)
        is_located = location == f"/apiv1/jobs/{document.get('job')}"
        self.check(is_located or status >= 400, "Location names the job", quiet=True)
        return document

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request without checks."""
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

    def check(self, condition: object, expectation: str, *, quiet: bool = False) -> None:
        """Count and print a failure if `condition` is false."""
        if not condition:
            self.failures += 1
            print(f"  ✗ EXPECTED: {expectation}")
        elif not quiet:
            print(f"  ✓ {expectation}")


class WebhookReceiver:
    """A server on this machine that receives webhooks and verifies them with `secrets`."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.events: list[tuple[bool, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_valid = receiver.is_signed(body, self.headers)
                receiver.events.append((is_valid, json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing: `wait_for` does."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def is_signed(self, body: bytes, headers: Any) -> bool:
        """Return whether one of the secrets made the signature."""
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body, dict(headers))
            except WebhookVerificationError:
                continue
            return True
        return False

    def wait_for(self, type_: str, subject: str, callback: Any = None) -> bool:
        """Wait for a signed event; with `callback`, for an event with that callback data."""

        def has_arrived() -> bool:
            return any(
                event["type"] == type_
                and event["subject"] == subject
                and (event["data"].get("callback") == callback if callback else is_valid)
                for is_valid, event in self.events
            )

        print(f"(waiting for {type_} of {subject})")
        wait_until(has_arrived)
        return has_arrived()


def _shorten(value: Any, depth: int = 0) -> str:
    if isinstance(value, dict) and value:
        if depth == 2:
            return "{…}"
        members = (f'"{name}": {_shorten(member, depth + 1)}' for name, member in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list) and value:
        more = f", … {len(value) - 1} more" if len(value) > 1 else ""
        return f"[{_shorten(value[0], depth + 1)}{more}]"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:60]}… ({len(text)} characters)"


def _summary(response: urllib3.BaseHTTPResponse) -> str:
    names = ("Content-Type", "Content-Range", "ETag")
    headers = [response.headers.get(name, "") for name in names]
    return ", ".join(filter(None, [*headers, f"{len(response.data)} bytes"]))


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    if urlsplit(address).hostname not in ("127.0.0.1", "localhost", "::1"):
        print("The stack runs on another machine: its webhooks cannot reach the receiver here.")
    api = Api(address, os.environ.get("API_TOKEN", ""))
    try:
        main(api, WebhookReceiver())
    except urllib3.exceptions.HTTPError as error:
        sys.exit(f"{address} does not answer: {error}")
    print(f"\n{api.failures or 'No'} responses differ from the documentation.")
    sys.exit(1 if api.failures else 0)
