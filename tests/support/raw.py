"""Packets with headers as a test likes them: what no ordinary socket would send."""

import socket
import struct

LOOPBACK = "127.0.0.1"


def why_not() -> str:
    """Why raw packets cannot be sent here; empty where they can."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW):
            return ""
    except PermissionError:
        return "raw sockets are for root (CAP_NET_RAW)"


def _ip(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet (RFC 791 §3.1); the kernel fills in the length and the checksum."""
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + addresses + payload


def udp(source: tuple[str, int], destination: tuple[str, int], data: bytes) -> bytes:
    """A datagram from anywhere (RFC 768), without a checksum."""
    header = struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0)
    return _ip(source[0], destination[0], socket.IPPROTO_UDP, header + data)


def unreachable(code: int, about: bytes, destination: str = LOOPBACK) -> bytes:
    """ICMP "destination unreachable" (RFC 792) over a packet that `destination` is said to have sent."""
    message = struct.pack("!BBHI", 3, code, 0, 1400 if code == 4 else 0) + about[:28]
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return _ip(LOOPBACK, destination, socket.IPPROTO_ICMP, message[:2] + struct.pack("!H", checksum) + message[4:])


class Sender:
    """Sends such packets."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, packet: bytes) -> None:
        self._socket.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
