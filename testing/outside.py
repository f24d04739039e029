"""Listens at a public address, which the node gives itself as long as this runs."""

import fcntl
import signal
import socket
import struct
import sys
import threading

_ALIAS = b"lo:out"
_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C  # linux/sockios.h


def main(address: str, *ports: str) -> None:
    """Take connections at these ports until told to end."""
    network = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for what, value in ((_SET_ADDRESS, address), (_SET_MASK, "255.255.255.255")):
        number = socket.inet_aton(value)
        fcntl.ioctl(network, what, struct.pack("16sHH4s8x", _ALIAS, socket.AF_INET, 0, number))
    listening = [socket.create_server((address, int(port))) for port in ports]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    for one in listening:
        one.close()
    fcntl.ioctl(network, _SET_FLAGS, struct.pack("16sH14x", _ALIAS, 0))  # down, so gone


main(*sys.argv[1:])
