"""UDP: read what is waiting, answer it, go back to the loop, so that other sockets and timers get their turn.

The reply leaves from the address that was asked, also on a wildcard listener: the kernel tells the destination of each
request (IP_PKTINFO) and is told the source of each reply.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from nameserver.query.composer import Composed
from nameserver.query.cookies import CLIENT_ALONE, split
from nameserver.query.counters import CALLBACK, QUERY, TOO_LARGE, UDP, dropped_slot
from nameserver.query.exchange import Outcome
from nameserver.query.notify_shortcut import NotifyShortcut, is_notify
from nameserver.query.pipeline import UNANSWERED
from nameserver.query.shortcut import Entry
from nameserver.query.tally import UNCOUNTED
from nameserver.server.answering.batch import BYTES_HEADER, SLOT_SIZE, SLOTS, Batch, as_received, usable
from nameserver.server.answering.counting import CountedShortcuts
from nameserver.server.faults import Faults
from nameserver.server.sockets import IP_PKTINFO

MAX_REQUEST = 4096  # octets; no request that we serve is larger
LAST_BATCHES = 16  # that are answered of what waits when the end has come
_ANCILLARY = 64  # bytes: one packet-info message
_UNANSWERED = as_received(UNANSWERED)
_TOO_LARGE = dropped_slot(TOO_LARGE)
_ADDITIONAL = 9  # where a message without its id says how many records there are in its additional section
_SAMPLE = 7  # of the slots: each eighth
# Of each slot: its number, where it begins in `Batch.octets`, where what follows its id does, and where `Batch.bodies`
# has the place of its reply, and the size. Written down, as to add these up costs as much as a look into a dict.
_PLACES = tuple(
    zip(
        *((each, each * SLOT_SIZE, each * SLOT_SIZE + 2, 4 * each + 2, 4 * each + 3) for each in range(SLOTS)),
        strict=True,
    )
)
# An answer that lacks its cookie, the slot that it is for, the cookie sent.
_Waiting = tuple[int, Composed, bytes]
_Get = Callable[[bytes], Entry | None]
_Compose = Callable[[bytes], Composed | None]
_Find = Callable[[bytes, int, int], Composed | None]


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address:
    """A peer's address as a value (a scope id is cut off)."""
    return ip_address(text.partition("%")[0])


class UdpListener:
    """One UDP socket of one worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        shortcuts: CountedShortcuts,
        now: Callable[[], int],
        on_outcome: Callable[[Outcome], None],
        faults: Faults,
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._shortcuts = shortcuts
        version = 4 if sock.family == socket.AF_INET else 6
        self._shortcut = shortcuts.of(UDP, version)
        self._cookies = shortcuts.with_cookies(UDP, version)
        self._notifies = NotifyShortcut(self._shortcut.pipeline, UDP, version)
        self._now = now
        self._on_outcome = on_outcome
        self._faults = faults
        self._prepare()

    def _prepare(self) -> None:
        """Make what one kind of listener needs beside."""
        raise NotImplementedError

    def open(self) -> None:
        """Begin to answer."""
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Answer what has already arrived, then stop."""
        self._loop.remove_reader(self._socket.fileno())
        for _ in range(LAST_BATCHES):
            self._readable()

    def _readable(self) -> None:
        raise NotImplementedError

    def _look_up(self, asked: bytes, address: IPv4Address | IPv6Address, port: int) -> Entry | None:
        """What the short cut has to say to one client."""
        if port in UNANSWERED:
            return None
        try:
            entry = self._shortcut.find(asked)
            allowed = entry is None or self._shortcut.allows(entry, asked, address, self._now())
            return entry if allowed else None
        except Exception as error:  # noqa: BLE001 - it only saves work: the pipeline can do without
            self._faults.broke(QUERY, "a short cut to an answer", error)
            return None

    def _answer(self, packet: bytes, address: IPv4Address | IPv6Address, port: int) -> bytes | None:
        """What the pipeline has to say, a reply without its id."""
        pipeline = self._shortcut.pipeline
        if len(packet) > MAX_REQUEST:
            pipeline.counters[_TOO_LARGE] += 1
            return None
        try:
            if is_notify(packet) and port not in UNANSWERED:
                outcome = self._notified(packet, address, port)
            else:
                outcome = pipeline.handle(packet, address, port, UDP, self._now())
                self._learn(packet[2:], outcome)
        except Exception as error:  # noqa: BLE001 - whatever broke costs this client its answer, and nobody else theirs
            outcome = self._faults.answer(error, pipeline, packet, UDP)
        if outcome.notify is not None or outcome.refused is not None:
            try:
                self._on_outcome(outcome)
            except Exception as error:  # noqa: BLE001 - the datagrams beside it are still to be answered
                self._faults.broke(CALLBACK, "passing on what a request said", error)
        return None if outcome.reply is None else outcome.reply[2:]

    def _learn(self, asked: bytes, outcome: Outcome) -> None:
        if not outcome.cookie:
            self._shortcut.learn(asked, outcome)
        elif (parts := split(asked)) is not None:
            self._cookies.learn(parts[0], outcome)

    def _notified(self, packet: bytes, address: IPv4Address | IPv6Address, port: int) -> Outcome:
        outcome = self._notifies.find(packet, address)
        if outcome is None:
            outcome = self._shortcut.pipeline.handle(packet, address, port, UDP, self._now())
            self._notifies.learn(packet, address, outcome)
        return outcome


class BatchListener(UdpListener):
    """Datagrams by the batch (see `nameserver.server.answering.batch`)."""

    def _prepare(self) -> None:
        self._batch = Batch(self._socket)
        self._waiting: list[_Waiting] = []

    def _readable(self) -> None:
        """One batch: the hottest loop of the project.

        An answer of the pipeline's that is kept is given again; else one is composed; else `_find` asks whoever knows,
        and so it does for all where not everyone gets an answer. What lacks its cookie waits for the batch's end.
        """
        batch, shortcut = self._batch, self._shortcut
        try:
            lengths = batch.receive()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:  # the socket goes on, in the next turn
            self._faults.mention("receiving datagrams", error)
            return
        octets, bodies, tally, epoch = batch.octets, batch.bodies, shortcut.tally.counts, shortcut.zones.epoch
        find, get, compose, compose_for_cookie = self._ways(len(lengths))
        waiting: list[_Waiting] = []
        self._waiting = waiting
        others: list[bytes | None] = []  # replies that nobody else holds: their octets must last until they are sent
        unanswered: list[int] = []
        for slot, begin, start, at, size_at, length in zip(*_PLACES, lengths, strict=False):
            asked = octets[start : begin + length]
            entry = get(asked)
            if entry is not None and entry[0] == epoch:
                _, bodies[at], bodies[size_at], kind, _ = entry
                tally[kind] += 1
                continue
            try:
                if not asked[_ADDITIONAL] or asked[-12:-8] != CLIENT_ALONE:
                    found = compose(asked)
                    if found is not None and not slot & _SAMPLE:
                        shortcut.keep(asked, found)
                elif (found := compose_for_cookie(asked[:-8])) is not None:
                    waiting.append((slot, found, asked[-8:]))
            except Exception:  # noqa: BLE001 - it is tried again, where that is told
                found = None
            if found is None:
                found = find(asked, slot, length)
            if found is None:
                unanswered.append(slot)
            else:
                body, kind = found
                others.append(body)
                bodies[at], bodies[size_at] = id(body) + BYTES_HEADER, len(body)  # `locate` without its call
                tally[kind] += 1
        if waiting:
            self._add_cookies(lengths, others, unanswered)
        self._send_all(len(lengths), unanswered)
        self._shortcuts.count_soon()
        shortcut.spent.clear()
        self._cookies.shortcut.spent.clear()

    def _ways(self, count: int) -> tuple[_Find, _Get, _Compose, _Compose]:
        """How this batch is to be answered: see `_readable`."""
        shortcut = self._shortcut
        if shortcut.pipeline.limiter is not None or self._batch.came_from(_UNANSWERED, count):
            return self._find_carefully, _nothing, _nothing, _nothing
        for_cookies = self._cookies.shortcut.compose if self._cookies.are_for_all else _nothing
        return self._find, shortcut.entries.get, shortcut.compose, for_cookies

    def _send_all(self, count: int, unanswered: list[int]) -> None:
        """Send the replies of a batch; `unanswered` are the slots without one, in ascending order."""
        first, batch, not_sent = 0, self._batch, self._faults.not_sent
        for slot in unanswered:
            batch.send(first, slot, not_sent)
            first = slot + 1
        batch.send(first, count, not_sent)

    def _find(self, asked: bytes, slot: int, length: int) -> Composed | None:
        """What to reply where the loop knows nothing; what lacks its cookie is noted as waiting."""
        try:
            parts = split(asked)
            if parts is None:
                entry = self._shortcut.find(asked)
            else:
                entry = self._cookies.find(*parts)
                if entry is not None:
                    self._waiting.append((slot, (entry[4], entry[3]), parts[1]))
        except Exception as error:  # noqa: BLE001 - it only saves work: the pipeline can do without
            self._faults.broke(QUERY, "a short cut to an answer", error)
            entry = None
        return self._ask(slot, length) if entry is None else (entry[4], entry[3])

    def _find_carefully(self, asked: bytes, slot: int, length: int) -> Composed | None:
        """The same where not everyone gets an answer: for its port, or by rate limits."""
        entry = self._look_up(asked, *self._batch.source(slot))
        return self._ask(slot, length) if entry is None else (entry[4], entry[3])

    def _ask(self, slot: int, length: int) -> Composed | None:
        """What the pipeline has to say."""
        begin = slot * SLOT_SIZE
        body = self._answer(self._batch.octets[begin : begin + length], *self._batch.source(slot))
        return None if body is None else (body, UNCOUNTED)

    def _add_cookies(self, lengths: list[int], others: list[bytes | None], unanswered: list[int]) -> None:
        """Complete the answers that wait for their cookies, all at once."""
        slots, answers, cookies = zip(*self._waiting, strict=True)
        try:
            without = [answer[0] for answer in answers]
            bodies = self._cookies.bodies(without, cookies, self._batch.packed_addresses(slots), self._now())
        except Exception as error:  # noqa: BLE001 - it only saves work: the pipeline can do without
            self._faults.broke(QUERY, "answering with cookies", error)
            bodies = [None] * len(slots)
        others += bodies
        words = self._batch.bodies
        for slot, answer, body in zip(slots, answers, bodies, strict=True):
            if body is None:
                self._shortcut.tally.counts[answer[1]] -= 1
                asked = self._ask(slot, lengths[slot])
                if asked is None:
                    unanswered.append(slot)
                    continue
                body = asked[0]
                others.append(body)
            at = 4 * slot + 2
            words[at], words[at + 1] = id(body) + BYTES_HEADER, len(body)
        unanswered.sort()


class PlainListener(UdpListener):
    """Datagrams one by one, with the calls that every system has."""

    def _prepare(self) -> None:
        self._wildcard = self._socket.getsockname()[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

    def _readable(self) -> None:
        receive = self._receive_from_any if self._wildcard else self._receive
        for _ in range(SLOTS):
            try:
                data, ancillary, address = receive()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # the socket goes on, in the next turn
                self._faults.mention("receiving a datagram", error)
                return
            self._reply(data, ancillary, address)

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]], tuple[str, int]]:
        data, address = self._socket.recvfrom(MAX_REQUEST + 1)
        return data, [], address

    def _receive_from_any(self) -> tuple[bytes, list[tuple[int, int, bytes]], tuple[str, int]]:
        data, ancillary, _, address = self._socket.recvmsg(MAX_REQUEST + 1, _ANCILLARY)
        return data, ancillary, address

    def _reply(self, data: bytes, ancillary: list[tuple[int, int, bytes]], address: tuple[str, int]) -> None:
        source = parse_address(address[0])
        entry = self._look_up(data[2:], source, address[1])
        if entry is not None:
            self._shortcut.tally.counts[entry[3]] += 1
            self._shortcuts.count_soon()
            body: bytes | None = entry[4]
        else:
            body = self._answer(data, source, address[1])
        if body is None:
            return
        try:
            if ancillary:
                self._socket.sendmsg([data[:2], body], reply_source(ancillary), 0, address)
            else:
                self._socket.sendto(data[:2] + body, address)
        except OSError as error:  # full queue, firewall, unreachable: this reply is lost, the socket stays open
            self._faults.not_sent(error)


def listen(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    shortcuts: CountedShortcuts,
    now: Callable[[], int],
    on_outcome: Callable[[Outcome], None],
    faults: Faults,
) -> UdpListener:
    """Begin to answer on a socket, in the quickest way that the system has."""
    listener = BatchListener if usable() else PlainListener
    made = listener(loop, sock, shortcuts, now, on_outcome, faults)
    made.open()
    return made


def _nothing(_key: bytes) -> None:
    """In place of the look-up where every datagram has to be looked at."""


def reply_source(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """The ancillary data that sends a reply from where its request arrived, the interface left to routing."""
    source: list[tuple[int, int, bytes]] = []
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            # struct in_pktinfo: interface index, local address, destination address
            source.append((level, kind, bytes(4) + data[8:12] + bytes(4)))
        elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            # struct in6_pktinfo: address, interface index; only a link-local address needs its interface
            link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            source.append((level, kind, data if link_local else data[:16] + bytes(4)))
    return source
