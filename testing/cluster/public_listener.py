"""Listen at a public address, which the node has only while this program runs."""

import fcntl
import signal
import socket
import struct
import sys
import threading

_ALIAS = b"lo:out"
_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C  # linux/sockios.h


def main(address: str, *ports: str) -> None:
    """Accept connections at these ports until SIGTERM."""
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for request, value in ((_SET_ADDRESS, address), (_SET_MASK, "255.255.255.255")):
        number = socket.inet_aton(value)
        fcntl.ioctl(control, request, struct.pack("16sHH4s8x", _ALIAS, socket.AF_INET, 0, number))
    servers = [socket.create_server((address, int(port))) for port in ports]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    for server in servers:
        server.close()
    # Taking the alias down removes it.
    fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sH14x", _ALIAS, 0))


main(*sys.argv[1:])
