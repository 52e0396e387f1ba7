"""Many datagrams per system call: recvmmsg(2) and sendmmsg(2) through ctypes, where Linux and CPython have them.

What a datagram costs in Python is mostly objects made on its way. So the structures that the kernel fills and reads are
made once, for `SLOTS` datagrams, and point at each other for good:

    received (SLOTS mmsghdrs )                    sent (SLOTS mmsghdrs )
      name ──▶ names[slot]   ◀── the same memory ──── name
      iov  ──▶ octets[slot]                           iov ──▶ 1  the id: the first two octets of octets[slot]
      control ──▶ controls[slot] ◀──────────────────── control 2  the body: address and length, per reply

A reply thus goes back to where its request came from, with its id, without either ever becoming an object. On a
wildcard address the kernel tells in `controls` which of our addresses was asked (IP_PKTINFO), and is told by the same
octets which one to answer from; only the interface is blanked, so that routing decides.

`octets` is a bytes object that the kernel writes into, against the letter of what bytes are. A slice of it is a bytes
object and therefore a dict key at once, where a bytearray's slice would have to be copied a second time. It is safe as
long as nobody keeps or hashes the whole: every use here takes a slice, which copies. `usable()` finds out whether an
object's octets are where this module takes them to be; where they are not, `server.udp` goes without it. The sizes of
structures are those of 64-bit Linux.
"""

import ctypes
import os
import socket
import sys
from array import array
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

SLOTS = 64  # datagrams per call
SLOT_SIZE = 4112  # octets; more than the largest request we look at
_NAME_SIZE = 32  # octets; struct sockaddr_in6 has 28
_CONTROL_SIZE = 64  # octets; one in6_pktinfo takes 40
_MMSGHDR = 64  # octets: msghdr (56), msg_len (4), padding
BYTES_HEADER = bytes.__basicsize__ - 1  # octets of a bytes object before its contents
_WORDS = 8  # 64-bit words in an mmsghdr

_CMSGHDR = 16  # octets of a control message before its contents
_NO_INTERFACE = bytes(4)

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg: Any = getattr(_libc, "recvmmsg", None)
_sendmmsg: Any = getattr(_libc, "sendmmsg", None)
if _recvmmsg is not None and _sendmmsg is not None:
    _recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    _sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


def locate(data: bytes) -> int:
    """The address of the octets of a bytes object, good for as long as that is kept."""
    return id(data) + BYTES_HEADER


def usable() -> bool:
    """Whether this interpreter and system are what this module is written for."""
    if sys.platform != "linux" or sys.implementation.name != "cpython" or sys.maxsize != 2**63 - 1:
        return False
    probe = b"where it is"
    return _recvmmsg is not None and _sendmmsg is not None and ctypes.string_at(locate(probe), len(probe)) == probe


def _memory(size: int) -> tuple[memoryview, int]:
    """Zeroed octets as a view, and their address."""
    octets = bytearray(size)
    return memoryview(octets), ctypes.addressof(ctypes.c_char.from_buffer(octets))


class Batch:
    """The structures for one socket.

    `octets` holds received datagrams, slot after slot. `bodies` are words that say where the second parts of replies
    are: slot s has its address at 4 * s + 2 and its length at 4 * s + 3.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock  # open for as long as its number is used
        self._number = sock.fileno()
        self._v4 = sock.family == socket.AF_INET
        self._wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self._used = SLOTS
        self.octets = bytes(SLOTS * SLOT_SIZE)
        self._names, names = _memory(SLOTS * _NAME_SIZE)
        self._controls, controls = _memory(SLOTS * _CONTROL_SIZE)
        parts_in, parts_in_at = _memory(SLOTS * 16)
        self.bodies = array("Q", bytes(SLOTS * 32))  # its words are written in half the time that a view's take
        parts_out_at = self.bodies.buffer_info()[0]
        received, self._received_at = _memory(SLOTS * _MMSGHDR)
        sent, self._sent_at = _memory(SLOTS * _MMSGHDR)
        self._parts_in = parts_in.cast("Q")
        self._received, self._sent = received.cast("Q"), sent.cast("Q")
        self._lengths = received.cast("I")[14 :: _MMSGHDR // 4]
        self._ports = self._names.cast("H")[1 :: _NAME_SIZE // 2]
        octets, name_size = locate(self.octets), 16 if self._v4 else 28
        for slot in range(SLOTS):
            name, control = names + slot * _NAME_SIZE, (controls + slot * _CONTROL_SIZE) if self._wildcard else 0
            room = _CONTROL_SIZE if self._wildcard else 0
            _put(self._parts_in, 2 * slot, octets + slot * SLOT_SIZE, SLOT_SIZE)
            _put(self.bodies, 4 * slot, octets + slot * SLOT_SIZE, 2, octets, 0)
            # msg_name, msg_namelen, msg_iov, msg_iovlen, msg_control, msg_controllen
            _put(self._received, _WORDS * slot, name, name_size, parts_in_at + slot * 16, 1, control, room)
            _put(self._sent, _WORDS * slot, name, name_size, parts_out_at + slot * 32, 2, control, 0)

    def receive(self) -> list[int]:
        """The lengths of the datagrams that were waiting, at most `SLOTS`. Raises OSError as recvmsg(2) does."""
        if self._wildcard:
            for slot in range(self._used):  # the kernel wrote what it used of the room over how much there is
                self._received[_WORDS * slot + 5] = _CONTROL_SIZE
        count = _recvmmsg(self._number, self._received_at, SLOTS, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._used = count
        if self._wildcard:
            self._answer_from_where_asked(count)
        return self._lengths[:count].tolist()

    def _answer_from_where_asked(self, count: int) -> None:
        """Make what the kernel says of a datagram's destination into the source of its reply."""
        for slot in range(count):
            self._sent[_WORDS * slot + 5] = self._received[_WORDS * slot + 5]
            start = slot * _CONTROL_SIZE + _CMSGHDR
            if self._v4:  # struct in_pktinfo: interface index (4), local address, destination address
                self._controls[start : start + 4] = _NO_INTERFACE
            elif not (self._controls[start] == 0xFE and self._controls[start + 1] & 0xC0 == 0x80):
                # struct in6_pktinfo: address (16), interface index (4), which only a link-local address needs
                self._controls[start + 16 : start + 20] = _NO_INTERFACE

    def came_from(self, ports: frozenset[int], count: int) -> bool:
        """Whether one of the first `count` datagrams came from one of these ports (as `as_received` gives them)."""
        return not ports.isdisjoint(self._ports[:count].tolist())

    def packed_addresses(self, slots: Iterable[int]) -> list[bytes]:
        """The addresses that the datagrams in these slots came from, in network order."""
        names = self._names.tobytes()
        start, size = (4, 4) if self._v4 else (8, 16)
        starts = [slot * _NAME_SIZE + start for slot in slots]
        return [names[start : start + size] for start in starts]

    def source(self, slot: int) -> tuple[IPv4Address | IPv6Address, int]:
        """Where the datagram in a slot came from: address and port."""
        start = slot * _NAME_SIZE
        name = self._names[start : start + 28].tobytes()
        return _address(name[4:8] if self._v4 else name[8:24]), name[2] << 8 | name[3]

    def send(self, first: int, after: int, not_sent: Callable[[OSError], None]) -> None:
        """Send the replies in slots `first` to `after` - 1; `not_sent` is told of each that the system did not take."""
        while first < after:
            count = _sendmmsg(self._number, self._sent_at + first * _MMSGHDR, after - first, socket.MSG_DONTWAIT)
            if count <= 0:
                number = ctypes.get_errno()
                not_sent(OSError(number, os.strerror(number)))
                count = 1
            first += count


def as_received(ports: Iterable[int]) -> frozenset[int]:
    """Port numbers as they read in network order, if taken for this machine's."""
    return frozenset(int.from_bytes(port.to_bytes(2, "big"), sys.byteorder) for port in ports)


@lru_cache(maxsize=4096)
def _address(octets: bytes) -> IPv4Address | IPv6Address:
    return ip_address(octets)


def _put(words: "memoryview | array[int]", index: int, *values: int) -> None:
    for number, value in enumerate(values, index):
        words[number] = value
