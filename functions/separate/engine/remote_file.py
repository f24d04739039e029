"""Files on the Hugging Face hub, and on demucs' older server.

huggingface_hub knows the hub's addresses, tokens (HF_TOKEN), redirects and errors, and its client
goes through the proxy HTTPS_PROXY.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from functions.separate.engine import process

process.disable_hub_telemetry()  # before huggingface_hub's import

import httpx2  # noqa: E402 (see above)
from huggingface_hub import get_hf_file_metadata, get_session, hf_hub_url  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # noqa: E402

from functions.separate.engine.hub import CannotFetch, HubUnreachable, endpoint  # noqa: E402
from functions.separate.engine.released_models import OLDER_SERVER, PICKLES  # noqa: E402

_FIRST_ANSWER_S = 3
_ANSWER_S = 10.0
_TEMPORARY = (408, 429)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server.

    `size` is in bytes, None if the server does not say it. `digest` identifies its content: a
    SHA-256 or the beginning of one, git's SHA-1, or any other ETag.
    """

    name: str
    url: str
    size: int | None
    digest: str
    source: str
    commit: str = ""

    @contextmanager
    def open(self, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield the position that the server's answer begins at, `start` or 0, and its chunks.

        Raises CannotFetch; HubUnreachable if another attempt may succeed.
        """
        is_on_hub = self.url.startswith(endpoint())
        headers: dict[str, Any] = build_hf_headers(token=None if is_on_hub else False)
        headers["Accept-Encoding"] = "identity"  # else a range would be one of compressed bytes
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            _translated_errors(self.source, self.name),
            get_session().stream("GET", self.url, headers=headers, timeout=_ANSWER_S) as response,
        ):
            hf_raise_for_status(response)
            yield (start if response.status_code == 206 else 0), response.iter_bytes()


def look_up(repository: str, name: str, commit: str = "") -> RemoteFile:
    """Return a file of a repository of the hub, at a commit or at the newest one.

    Raises CannotFetch; HubUnreachable if there is no answer within 3 s (HF_HUB_ETAG_TIMEOUT), or
    10 s for a commit.
    """
    url = hf_hub_url(repository, name, revision=commit or "main")
    seconds = _ANSWER_S if commit else _first_answer_s()
    source = f"{repository} on {endpoint()}"
    with _translated_errors(source, name):
        metadata = _within(seconds, lambda: get_hf_file_metadata(url, timeout=seconds))
    if not (metadata.commit_hash and metadata.etag):
        raise CannotFetch(f"{endpoint()} does not answer as a hub does: is HF_ENDPOINT right?")
    url = hf_hub_url(repository, name, revision=metadata.commit_hash)
    return RemoteFile(name, url, metadata.size, metadata.etag, source, metadata.commit_hash)


def look_up_pickle(signature: str) -> RemoteFile:
    """Return the pickle of a network on demucs' older server. Raises CannotFetch."""
    url = f"{OLDER_SERVER}/{PICKLES[signature]}"
    name = url.rsplit("/", 1)[1]
    with _translated_errors(OLDER_SERVER, name):
        seconds = _first_answer_s()
        response = _within(seconds, lambda: get_session().head(url, timeout=seconds))
        hf_raise_for_status(response)
    size = response.headers.get("Content-Length")
    checksum = name.removesuffix(".th").split("-")[1]
    return RemoteFile(name, url, int(size) if size else None, checksum, OLDER_SERVER)


@contextmanager
def _translated_errors(source: str, file: str) -> Iterator[None]:
    try:
        yield
    except (httpx2.HTTPError, FileMetadataError, OfflineModeIsEnabled, TimeoutError) as error:
        raise _translate(error, source, file) from error


def _translate(error: Exception, source: str, file: str) -> CannotFetch:
    match error:
        case OfflineModeIsEnabled():
            return CannotFetch("HF_HUB_OFFLINE is set")
        case TimeoutError() | httpx2.TimeoutException():
            return HubUnreachable(f"{_server(source)} does not answer")
        case EntryNotFoundError():
            return CannotFetch(f"{source} has no file {file}")
        case GatedRepoError():
            return CannotFetch(f"{source} is for certain accounts: set HF_TOKEN to a token of one")
        case RepositoryNotFoundError():
            return CannotFetch(f"there is no {source}, or it needs a token (HF_TOKEN)")
        case HfHubHTTPError(response=response):
            status = response.status_code
            kind = HubUnreachable if status in _TEMPORARY or status >= 500 else CannotFetch
            return kind(f"{_server(source)} answers with status {status}")
        case FileMetadataError():
            return CannotFetch(
                f"{_server(source)} does not answer as a hub does: is HF_ENDPOINT right?"
            )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return HubUnreachable(f"{_server(source)} cannot be reached: {reason}")


def _first_answer_s() -> float:
    """Return how long a server has to answer at all: the library's own setting, or 3 s."""
    return int(os.environ.get("HF_HUB_ETAG_TIMEOUT") or _FIRST_ANSWER_S)


def _server(source: str) -> str:
    return source.rsplit(" ", 1)[-1]


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what `call` returns. Raises its error, or TimeoutError if it takes longer.

    The timeouts of an HTTP client do not hold for the resolution of names, nor for a server that
    sends its answer byte by byte. A call that is late is left to end on its own.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)

    get_session()  # it reads certificates, for which no server is to blame
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]
