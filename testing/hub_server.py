"""A server on this machine that speaks the protocol of the Hugging Face hub.

It has what huggingface_hub 2.4 asks when it downloads: `HEAD` and `GET` of
`/<repository>/resolve/<revision>/<file>`. Small files are redirected to another path of the hub,
large ones to another host, the CDN, which knows no tokens and answers ranges.
"""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_CACHED = "/api/resolve-cache/models/"
_LARGE = (".safetensors",)
_CHUNK = 2**16


@dataclass
class Request:
    """What a client asked: `host` is hub or cdn."""

    host: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Repository:
    """The files of a repository. If it has a token, only requests with it are answered."""

    files: dict[str, bytes]
    token: str = ""
    gated: bool = False

    @property
    def commit(self) -> str:
        """The name of the newest commit."""
        content = repr(sorted((name, self.etag(name)) for name in self.files))
        return hashlib.sha1(content.encode()).hexdigest()

    def etag(self, file: str) -> str:
        """Return the SHA-256 of a large file, git's SHA-1 of a small one."""
        content = self.files[file]
        if file.endswith(_LARGE):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Hub:
    """The repositories of a hub, what was asked, and what is to go wrong.

    `cut`       after how many bytes the next answers with this file's content end
    `sent`      content that is sent instead of a file's own
    `files`     what is at other paths, which no redirect leads to
    `status`    an answer to everything
    `ranges`    whether the CDN answers ranges; if not, it sends the whole file
    """

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    cut: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    status: int = 0
    ranges: bool = True

    def add(self, repository: str, files: Mapping[str, bytes], token: str = "") -> Repository:
        """Publish a repository."""
        self.repositories[repository] = Repository(dict(files), token)
        return self.repositories[repository]

    def downloads(self) -> list[tuple[str, str]]:
        """Return the file and the range ("" for all of it) of each GET of a large file."""
        return [
            (request.path.split("?")[0].rsplit("/", 1)[1], request.headers.get("Range", ""))
            for request in self.requests
            if (request.host, request.method) == ("cdn", "GET")
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, host: str, cdn: str, *arguments: Any) -> None:
        self.hub, self.host, self.cdn = hub, host, cdn
        super().__init__(*arguments)

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.requests.append(
            Request(self.host, self.command, self.path, dict(self.headers.items()))
        )
        if self.hub.status:
            self._send(self.hub.status, {})
        elif self.path in self.hub.files:
            self._send_file(self.path, self.hub.files[self.path], {})
        elif self.host == "cdn":
            self._answer_as_cdn()
        elif self.path.startswith(_CACHED):
            _, _, _, _, account, name, commit, file = self.path.split("/", 7)
            repository = self.hub.repositories[f"{account}/{name}"]
            headers = {"X-Repo-Commit": commit, "ETag": f'"{repository.etag(file)}"'}
            self._send_file(file, repository.files[file], headers)
        else:
            self._answer_as_hub()

    def _answer_as_hub(self) -> None:
        match = _RESOLVE.fullmatch(self.path)
        if not match:
            self._send(404, {})
            return
        repository = self.hub.repositories.get(match["repository"])
        authorization = self.headers.get("Authorization")
        if repository and repository.gated and authorization != f"Bearer {repository.token}":
            self._fail(403 if authorization else 401, "GatedRepo")
        elif not repository or (repository.token and authorization != f"Bearer {repository.token}"):
            self._fail(404 if authorization else 401, "RepoNotFound")
        elif match["revision"] not in ("main", repository.commit):
            self._fail(404, "RevisionNotFound")
        elif match["file"] not in repository.files:
            self._fail(404, "EntryNotFound", {"X-Repo-Commit": repository.commit})
        else:
            self._redirect(repository, match["repository"], match["file"])

    def _redirect(self, repository: Repository, name: str, file: str) -> None:
        headers = {"X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if file.endswith(_LARGE):
            headers |= {
                "Location": f"{self.cdn}/{name}/{file}?X-Amz-Signature=0123",
                "X-Linked-Size": str(len(repository.files[file])),
                "X-Linked-Etag": f'"{repository.etag(file)}"',
                "ETag": '"etag-of-the-redirect"',
            }
            self._send(302, headers)
        else:
            headers |= {"Location": f"{_CACHED}{name}/{repository.commit}/{file}"}
            self._send(307, headers)

    def _answer_as_cdn(self) -> None:
        if "Authorization" in self.headers:  # a signed address takes no other credentials
            self._send(400, {})
            return
        account, name, file = self.path.split("?")[0].strip("/").split("/", 2)
        self._send_file(file, self.hub.repositories[f"{account}/{name}"].files[file], {})

    def _send_file(self, file: str, content: bytes, headers: dict[str, str]) -> None:
        content = self.hub.sent.get(file, content)
        status, start = 200, 0
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if requested and self.hub.ranges:
            status, start = 206, int(requested[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if start >= len(content):
                self._send(416, {"Content-Range": f"bytes */{len(content)}"})
                return
        self._send(status, headers, content[start:], self._next_cut(file))

    def _next_cut(self, file: str) -> int | None:
        cuts = self.hub.cut.get(file)
        return cuts.pop(0) if cuts and self.command == "GET" else None

    def _fail(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def _send(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes = b"",
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for position in range(0, len(body if cut is None else body[:cut]), _CHUNK):
            self.wfile.write(body[:cut][position : position + _CHUNK])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Run a hub and its CDN on free ports."""
    hub = Hub("")
    with serve(hub, "cdn", "") as cdn, serve(hub, "hub", cdn) as url:
        hub.url = url
        yield hub


@contextmanager
def serve(
    hub: Hub, host: str, cdn: str, address: str = "127.0.0.1", port: int = 0
) -> Iterator[str]:
    """Serve one of the two hosts, hub or cdn, and yield its URL; `cdn` is the URL of the other."""
    server = ThreadingHTTPServer((address, port), partial(_Handler, hub, host, cdn))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
