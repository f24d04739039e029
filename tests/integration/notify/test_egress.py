"""Requests to webhooks: allowed addresses, time limits and TLS, with receivers on loopback."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path

import pytest

from functions.notify import egress
from functions.notify.egress import Egress, Response, Unreachable
from functions.notify.resolver import Resolver
from microdemucs.addresses import ForbiddenUrl
from microdemucs.lazy import Lazy
from tests.integration.notify.name_server import NameServer, running_name_server
from tests.integration.notify.webhook_receiver import StartReceiver, WebhookReceiver

ANYWHERE = Egress(allow_private=True)
Resolves = Callable[..., tuple[Lazy[Resolver], NameServer]]


@pytest.fixture
def resolves() -> Iterator[Resolves]:
    """Return a resolver, and its name server, at which every name has these addresses."""
    with ExitStack() as servers:

        def resolves(*addresses: str) -> tuple[Lazy[Resolver], NameServer]:
            server = servers.enter_context(running_name_server(*addresses))
            return Lazy(lambda: Resolver([server.address])), server

        yield resolves


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]"),
        *("2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0", "0.0.0.0", "[::]"),
        *("169.254.169.254", "100.64.1.1", "[fd00::1]", "[64:ff9b::7f00:1]"),
    ],
)
def test_no_notation_of_a_private_address_is_reached(host: str, receiver: StartReceiver) -> None:
    hook = receiver()
    with pytest.raises(ForbiddenUrl, match="not public"):
        Egress().post(f"http://{host}:{hook.port}/", {}, b"{}")
    assert hook.requests == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    resolves: Resolves,
) -> None:
    resolver, _ = resolves("1.1.1.1", "10.0.0.1")
    with pytest.raises(ForbiddenUrl, match=r"10\.0\.0\.1, which is not public"):
        Egress(resolver=resolver).post("http://x.example/", {}, b"{}")


def test_the_connection_goes_to_the_address_that_was_checked(
    resolves: Resolves, receiver: StartReceiver
) -> None:
    """DNS rebinding: a second lookup of the name could return another address."""
    hook = receiver()
    resolver, server = resolves("127.0.0.1")
    anywhere = Egress(allow_private=True, resolver=resolver)
    assert anywhere.post(f"http://x.example:{hook.port}/", {}, b"{}").status == 200
    assert server.queried == ["x.example"]
    assert hook.requests[0].headers["host"] == f"x.example:{hook.port}"


def test_if_the_first_address_does_not_answer_the_next_is_tried(
    resolves: Resolves, receiver: StartReceiver
) -> None:
    hook = receiver()
    resolver, _ = resolves("127.0.0.2", "127.0.0.1")
    anywhere = Egress(allow_private=True, resolver=resolver)
    assert anywhere.post(f"http://x.example:{hook.port}/", {}, b"{}").status == 200


def test_a_name_that_does_not_resolve_is_unreachable(resolves: Resolves) -> None:
    resolver, _ = resolves("1.1.1.1")
    with pytest.raises(Unreachable, match=r"missing\.example cannot be resolved"):
        Egress(resolver=resolver).post("http://missing.example/", {}, b"{}")


def test_a_name_that_takes_too_long_to_resolve_is_unreachable(
    resolves: Resolves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "RESOLVE_S", 0.1)
    resolver, _ = resolves("1.1.1.1")
    with pytest.raises(Unreachable, match="not resolved within"):
        Egress(resolver=resolver).post("http://slow.example/", {}, b"{}")


def test_headers_and_body_arrive_unchanged(receiver: StartReceiver) -> None:
    hook = receiver()
    ANYWHERE.post(hook.url, {"webhook-id": "msg_1"}, b'{"a": "\xc3\xbc"}')
    [request] = hook.requests
    assert request.path == "/hook?key=in-the-query"
    assert request.headers["webhook-id"] == "msg_1"
    assert request.body == b'{"a": "\xc3\xbc"}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, receiver: StartReceiver) -> None:
    elsewhere = receiver()
    hook = receiver((status, {"Location": elsewhere.url}))
    assert ANYWHERE.post(hook.url, {}, b"{}").status == status
    assert elsewhere.requests == []


def test_the_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, receiver: StartReceiver
) -> None:
    proxy, hook = receiver(), receiver()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    ANYWHERE.post(hook.url, {}, b"{}")
    assert (len(proxy.requests), len(hook.requests)) == (0, 1)


def test_retry_after_is_returned_in_seconds(receiver: StartReceiver) -> None:
    moment = formatdate(time.time() + 100, usegmt=True)
    hook = receiver((503, {"Retry-After": moment}))
    response = ANYWHERE.post(hook.url, {}, b"{}")
    assert response.status == 503
    assert 97 < response.retry_after <= 100


Talk = Callable[[socket.socket], object]
StartServer = Callable[[Talk], str]


@pytest.fixture
def raw_server() -> Iterator[StartServer]:
    """Start a TCP server that calls `talk(connection)` once; return its URL."""
    servers: list[socket.socket] = []

    def serve(talk: Talk) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    talk(connection)
            except OSError:
                pass  # the client has closed the connection, as it should

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield serve
    for server in servers:
        server.close()


class Drip:
    """Sends `start`, then `byte` every 20 ms for a minute, if nobody closes the connection."""

    def __init__(self, start: bytes, byte: bytes) -> None:
        self._start = start
        self._byte = byte
        self.was_cut_off = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        """Answer one request."""
        connection.recv(65536)
        connection.sendall(self._start)
        for _ in range(3000):
            try:
                connection.sendall(self._byte)
            except OSError:
                self.was_cut_off.set()
                return
            time.sleep(0.02)


def test_a_status_that_arrives_byte_by_byte_is_cut_off(
    raw_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "TOTAL_S", 1.0)
    drip = Drip(b"", b"1")
    with pytest.raises(Unreachable):
        ANYWHERE.post(raw_server(drip), {}, b"{}")
    assert drip.was_cut_off.wait(30)


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"],
    ids=["headers", "body"],
)
def test_a_status_counts_even_if_the_response_never_ends(
    start: bytes, raw_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "TOTAL_S", 1.0)
    drip = Drip(start, b"x")
    assert ANYWHERE.post(raw_server(drip), {}, b"{}") == Response(200)
    assert drip.was_cut_off.wait(30)


def test_at_most_64_kib_of_a_response_are_read(raw_server: StartServer) -> None:
    sent: list[int] = []

    def flood(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 65536))

    assert ANYWHERE.post(raw_server(flood), {}, b"{}").status == 200
    assert sum(sent) < 20e6, "what the kernel's buffers hold, not the gigabyte"


def silent(connection: socket.socket) -> None:
    """Read everything and send nothing until the client closes the connection."""
    while connection.recv(65536):
        pass


def test_a_receiver_that_never_responds_is_unreachable(
    raw_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "TOTAL_S", 1.0)
    with pytest.raises(Unreachable):
        ANYWHERE.post(raw_server(silent), {}, b"{}")


@pytest.mark.parametrize(
    "text", [b"", b"\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_a_response_that_is_not_http_is_unreachable(text: bytes, raw_server: StartServer) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    with pytest.raises(Unreachable):
        ANYWHERE.post(raw_server(talk), {}, b"{}")


def test_a_closed_port_is_unreachable(receiver: StartReceiver) -> None:
    hook = receiver()
    hook.close()
    with pytest.raises(Unreachable, match="no HTTP response"):
        ANYWHERE.post(hook.url, {}, b"{}")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority (ca.pem) and its certificate for x.example (x.pem)."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("authority")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=tests",
        f"req -x509 {key} -keyout x.key -out x.pem -subj /CN=x -CA ca.pem -CAkey ca.key"
        " -addext subjectAltName=DNS:x.example -addext basicConstraints=CA:FALSE",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(authority: Path, receiver: StartReceiver) -> WebhookReceiver:
    """A receiver with TLS and the certificate for x.example."""
    hook = receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "x.pem", authority / "x.key")
    # The handshake must happen in the connection's own thread, not in the one that accepts.
    hook.server.socket = context.wrap_socket(
        hook.server.socket, server_side=True, do_handshake_on_connect=False
    )
    return hook


def test_the_certificate_is_verified_against_the_name_not_the_address(
    secure: WebhookReceiver, authority: Path, resolves: Resolves
) -> None:
    resolver, _ = resolves("127.0.0.1")
    trusting = Egress(allow_private=True, ca_file=str(authority / "ca.pem"), resolver=resolver)
    assert trusting.post(f"https://x.example:{secure.port}/", {}, b"{}").status == 200


def test_a_certificate_for_another_name_is_not_accepted(
    secure: WebhookReceiver, authority: Path, resolves: Resolves
) -> None:
    resolver, _ = resolves("127.0.0.1")
    trusting = Egress(allow_private=True, ca_file=str(authority / "ca.pem"), resolver=resolver)
    for host in ("y.example", "127.0.0.1"):
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            trusting.post(f"https://{host}:{secure.port}/", {}, b"{}")
    assert secure.requests == []


def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    secure: WebhookReceiver, resolves: Resolves
) -> None:
    resolver, _ = resolves("127.0.0.1")
    anywhere = Egress(allow_private=True, resolver=resolver)
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        anywhere.post(f"https://x.example:{secure.port}/", {}, b"{}")


def test_a_tls_handshake_that_never_ends_is_unreachable(
    raw_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "CONNECT_S", 0.5)
    url = raw_server(silent).replace("http:", "https:")
    with pytest.raises(Unreachable, match="did not respond in time"):
        ANYWHERE.post(url, {}, b"{}")
