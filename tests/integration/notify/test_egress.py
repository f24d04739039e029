"""Where a webhook may go: tables, then real receivers on loopback."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functions.notify import egress
from functions.notify.egress import Answer, Egress, Unreachable
from microdemucs.addresses import ForbiddenUrl
from tests.integration.notify.receiving import Receiver

ANYWHERE = Egress(allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]"),
        *("2130706433", "0177.0.0.1", "0x7f.1", "127.1", "0", "0.0.0.0", "[::]"),
        *("169.254.169.254", "100.64.1.1", "[fd00::1]", "[64:ff9b::7f00:1]"),
    ],
)
def test_however_a_private_host_is_written_nothing_is_sent(host, receiver):
    listening = receiver()
    with pytest.raises(ForbiddenUrl, match="not public"):
        Egress().post(f"http://{host}:{listening.port}/", {}, b"{}")
    assert listening.got == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch):
    resolves(monkeypatch, "1.1.1.1", "10.0.0.1")
    with pytest.raises(ForbiddenUrl, match="not public"):
        Egress().post("http://x.example/", {}, b"{}")


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch, receiver):
    """DNS rebinding: the second answer for the same name would be another."""
    listening = receiver()
    asked = resolves(monkeypatch, "127.0.0.1")
    assert ANYWHERE.post(f"http://x.example:{listening.port}/", {}, b"{}").status == 200
    assert asked == ["x.example"]
    _, headers, _ = listening.got[0]
    assert headers["Host"] == f"x.example:{listening.port}"


def test_where_the_first_address_does_not_answer_the_next_is_tried(monkeypatch, receiver):
    listening = receiver()
    resolves(monkeypatch, "127.0.0.2", "127.0.0.1")
    assert ANYWHERE.post(f"http://x.example:{listening.port}/", {}, b"{}").status == 200


def test_a_name_that_does_not_resolve_is_unreachable():
    with pytest.raises(Unreachable, match=r"nowhere\.invalid cannot be resolved"):
        Egress().post("http://nowhere.invalid/", {}, b"{}")


def test_a_name_that_takes_too_long_to_resolve_is_unreachable(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(egress, "RESOLVE_S", 0.1)
    monkeypatch.setattr(egress.socket, "getaddrinfo", lambda *_, **__: over.wait(20))
    with pytest.raises(Unreachable, match="not resolved in"):
        Egress().post("http://x.example/", {}, b"{}")
    over.set()


def test_headers_and_body_arrive_as_given(receiver):
    listening = receiver()
    ANYWHERE.post(listening.url, {"webhook-id": "msg_1"}, b'{"a": "\xc3\xbc"}')
    path, headers, body = listening.got[0]
    assert path == "/hook?key=in-the-query"
    assert headers["webhook-id"] == "msg_1"
    assert body == b'{"a": "\xc3\xbc"}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status, receiver):
    elsewhere = receiver()
    listening = receiver((status, {"Location": elsewhere.url}))
    assert ANYWHERE.post(listening.url, {}, b"{}").status == status
    assert elsewhere.got == []


def test_the_proxies_of_the_environment_are_not_used(monkeypatch, receiver):
    proxy, listening = receiver(), receiver()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    ANYWHERE.post(listening.url, {}, b"{}")
    assert (len(proxy.got), len(listening.got)) == (0, 1)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("٣", 0),
    ],
)
def test_retry_after(said, seconds):
    assert egress._seconds(said) == seconds


def test_retry_after_as_a_date(receiver):
    moment = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    listening = receiver((503, {"Retry-After": moment}))
    answer = ANYWHERE.post(listening.url, {}, b"{}")
    assert answer.status == 503
    assert 97 < answer.retry_after <= 100


@pytest.fixture
def raw() -> Iterator[Callable[..., str]]:
    """Serve one connection by `talk(connection)`; gives the URL."""
    servers: list[socket.socket] = []

    def serve(talk: Callable[[socket.socket], object]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    talk(connection)
            except OSError:
                pass  # the other side has ended it, as it should

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield serve
    for server in servers:
        server.close()


def drip(start: bytes, byte: bytes) -> Callable[[socket.socket], None]:
    """Send `start`, then one `byte` after the other for ever."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:
            connection.sendall(byte)
            time.sleep(0.02)

    return talk


def test_a_receiver_that_drips_its_status_cannot_hold_us(raw, monkeypatch):
    monkeypatch.setattr(egress, "TOTAL_S", 1.0)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        ANYWHERE.post(raw(drip(b"", b"1")), {}, b"{}")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"],
    ids=["headers", "body"],
)
def test_a_status_counts_even_where_what_follows_never_ends(start, raw, monkeypatch):
    monkeypatch.setattr(egress, "TOTAL_S", 1.0)
    began = time.monotonic()
    assert ANYWHERE.post(raw(drip(start, b"x")), {}, b"{}") == Answer(200)
    assert time.monotonic() - began < 3


def test_no_more_than_64_kib_of_an_answer_are_read(raw):
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 65536))

    assert ANYWHERE.post(raw(flood), {}, b"{}").status == 200
    assert sum(sent) < 20e6, "what the kernel's buffers hold, not the gigabyte"


def silent(connection: socket.socket) -> None:
    """Hear all and say nothing, until the other hangs up."""
    while connection.recv(65536):
        """Go on."""


def test_a_receiver_that_never_answers_is_unreachable_in_time(raw, monkeypatch):
    monkeypatch.setattr(egress, "TOTAL_S", 1.0)
    with pytest.raises(Unreachable):
        ANYWHERE.post(raw(silent), {}, b"{}")


@pytest.mark.parametrize(
    "answer", [b"", b"\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_what_is_no_http_answer_is_unreachable(answer, raw):
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with pytest.raises(Unreachable):
        ANYWHERE.post(raw(talk), {}, b"{}")


def test_a_closed_port_is_unreachable(receiver):
    listening = receiver()
    listening.close()
    with pytest.raises(Unreachable, match="no HTTP answer"):
        ANYWHERE.post(listening.url, {}, b"{}")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of our own and what it signed for x.example."""
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
def secure(authority: Path, receiver: Callable[..., Receiver]) -> Receiver:
    """A receiver that speaks TLS as x.example."""
    listening = receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "x.pem", authority / "x.key")
    # the handshake belongs to the connection's own thread, not to the one that accepts
    listening.server.socket = context.wrap_socket(
        listening.server.socket, server_side=True, do_handshake_on_connect=False
    )
    return listening


def test_tls_is_verified_against_the_name_not_the_address(secure, authority, monkeypatch):
    resolves(monkeypatch, "127.0.0.1")
    trusting = Egress(allow_private=True, ca_file=str(authority / "ca.pem"))
    assert trusting.post(f"https://x.example:{secure.port}/", {}, b"{}").status == 200


def test_a_certificate_for_another_name_is_not_accepted(secure, authority, monkeypatch):
    resolves(monkeypatch, "127.0.0.1")
    trusting = Egress(allow_private=True, ca_file=str(authority / "ca.pem"))
    for host in ("y.example", "127.0.0.1"):
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            trusting.post(f"https://{host}:{secure.port}/", {}, b"{}")
    assert secure.got == []


def test_a_certificate_of_an_unknown_authority_is_not_accepted(secure, monkeypatch):
    resolves(monkeypatch, "127.0.0.1")
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        ANYWHERE.post(f"https://x.example:{secure.port}/", {}, b"{}")


def test_a_receiver_that_never_ends_its_handshake_is_unreachable(raw, monkeypatch):
    monkeypatch.setattr(egress, "CONNECT_S", 0.5)
    url = raw(silent).replace("http:", "https:")
    with pytest.raises(Unreachable, match="too long"):
        ANYWHERE.post(url, {}, b"{}")


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Make names resolve to `addresses`; the list fills with the names that were asked for.

    The name service is the one part that cannot be had on loopback.
    """
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *how, **named):
        if host.endswith(".example"):
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]
        return real(host, port, *how, **named)

    monkeypatch.setattr(egress.socket, "getaddrinfo", getaddrinfo)
    return asked
