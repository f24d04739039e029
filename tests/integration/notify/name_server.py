"""A name server on loopback, with the same addresses for every name but some."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

ADDRESS = "1.1.1.1"
_A, _NO_SUCH_NAME = 1, 3


class NameServer:
    """Answers queries; names under slow.example get no answer, missing.example has no address."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses or (ADDRESS,)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.queried: list[str] = []
        """The names of all queries for an IPv4 address."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            name, type_, question = _question(query)
            if type_ == _A:
                self.queried.append(name)
            if not name.endswith("slow.example"):
                has_address = type_ == _A and not name.endswith("missing.example")
                addresses = self._addresses if has_address else ()
                self._socket.sendto(_answer(query, name, question, addresses), client)


def _question(query: bytes) -> tuple[str, int, bytes]:
    """Return the name, the type and the bytes of the question (RFC 1035, section 4.1.2)."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode())
        position += 1 + length
    end = position + 5
    [type_] = struct.unpack("!H", query[position + 1 : position + 3])
    return ".".join(labels).lower(), type_, query[12:end]


def _answer(query: bytes, name: str, question: bytes, addresses: Sequence[str]) -> bytes:
    flags = 0x8180 | (_NO_SUCH_NAME if name.endswith("missing.example") else 0)
    [id_] = struct.unpack("!H", query[:2])
    header = struct.pack("!HHHHHH", id_, flags, 1, len(addresses), 0, 0)
    start = struct.pack("!HHHLH", 0xC00C, _A, 1, 0, 4)  # the question's name
    return header + question + b"".join(start + socket.inet_aton(each) for each in addresses)


@contextmanager
def running_name_server(*addresses: str) -> Iterator[NameServer]:
    """Serve until the block ends."""
    server = NameServer(*addresses)
    try:
        yield server
    finally:
        server.close()
