"""The soak's client, a process of its own: asks at a steady rate and checks every answer against the zone's history.

    python -m soak.querier PORT BOARD RATE SEED     complaints as lines, at the end one line of JSON with its figures

Most questions go over UDP from a few sockets that stay: the kernel gives all that comes from one port to the same
listening socket, so each is a client of one worker, whoever lives in that place. What `Watcher.check` holds against an
answer relies on it.
"""

import contextlib
import json
import random
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import dns.name
import dns.rdatatype
from soak.board import Board, Slot
from soak.history import ZONE, Question, Verdict, WrongAnswerError, ZoneLostError, judge, questions
from support.ask import LOOPBACK

UDP_SOCKETS = 16
TCP_SHARE = 0.05
TCP_PER_CONNECTION = 10
PATIENCE = 5.0  # seconds until a question counts as unanswered
TICK = 0.005
SILENCE = 0.25  # seconds without any answer that count as silence
ONE_SERIAL_SHARE = 0.05  # of the questions: for a name that exists at one serial only
MEMORY = 50_000  # verdicts kept; most answers of a tenth of a second are byte for byte the same
COMPLAINTS = 30  # printed in full

_OPT = bytes.fromhex("00 0029 04d0 00000000 0000")


class Asked(NamedTuple):
    """A question under way."""

    question: Question
    at: float
    floor: int  # an answer from an older serial than this is a step backwards


class Silences:
    """How long no answers came."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.spells: list[float] = []

    def answered(self, now: float) -> None:
        if now - self.last > SILENCE:
            self.spells.append(now - self.last)
        self.last = now

    def figures(self) -> dict[str, float]:
        return {"spells": len(self.spells), "seconds": sum(self.spells), "longest": max(self.spells, default=0.0)}


class Watcher:
    """Checks answers and counts. Both threads use it; the counters have a lock."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.latencies: list[float] = []
        self.kinds: Counter[str] = Counter()
        self._memory: dict[tuple[Question, bool, bytes], Verdict] = {}
        self._lock = threading.Lock()
        self._complaints = 0

    def count(self, slot: Slot, number: int = 1) -> None:
        with self._lock:
            self.board[slot] += number

    def check(self, data: bytes, asked: Asked, tcp: bool) -> int:
        """The serial it came from at least (0: not told); counts and prints what is wrong with it.

        An answer must be one that some version of the zone has (`history.judge`), and this version must be
        * published: no newer than what the primary was given before now;
        * no older than the floor when the question was sent: what stands on the board (`soak.floor` says why), and
          what this client had an answer from before.
        """
        self.count(Slot.ANSWERED)
        try:
            verdict = self._judge(data, asked.question, tcp)
        except WrongAnswerError as error:
            return self._complain(Slot.WRONG, asked, str(error))
        except ZoneLostError as error:
            return self._complain(Slot.LOST, asked, str(error))
        published = self.board[Slot.PUBLISHED]
        if verdict.lowest > published:
            return self._complain(Slot.WRONG, asked, f"serial {verdict.lowest}, published was only {published}")
        if verdict.highest < asked.floor:
            return self._complain(Slot.BACKWARDS, asked, f"from serial {verdict.highest}, after {asked.floor}")
        with self._lock:
            self.board[Slot.SEEN] = max(self.board[Slot.SEEN], verdict.lowest)
        return verdict.lowest

    def _judge(self, data: bytes, question: Question, tcp: bool) -> Verdict:
        key = (question, tcp, data[2:])
        verdict = self._memory.get(key)
        if verdict is None:
            verdict = judge(data, question, tcp)
            if len(self._memory) > MEMORY:
                self._memory.clear()
            self._memory[key] = verdict
        return verdict

    def _complain(self, slot: Slot, asked: Asked, text: str) -> int:
        self.count(slot)
        self._complaints += 1
        if self._complaints <= COMPLAINTS:
            name, rdtype = asked.question
            ago = time.monotonic() - asked.at
            line = f"{time.time():.3f} {slot.name}: {name} {rdtype}, asked {ago:.3f} s ago: {text[:600]}\n"
            sys.stdout.write(line)
            sys.stdout.flush()
        return 0


class Asking:
    """Chooses questions and writes them down."""

    def __init__(self, board: Board, seed: int) -> None:
        self._board = board
        self._dice = random.Random(seed)
        self._questions = questions()
        self._bodies: dict[Question, bytes] = {}

    def choose(self) -> Question:
        if self._dice.random() < ONE_SERIAL_SHARE:
            serial = max(1, self._board[Slot.PUBLISHED] - self._dice.randrange(3))
            return Question(f"target-v{serial}.{ZONE}", "A")
        return self._dice.choice(self._questions)

    def write(self, number: int, question: Question) -> bytes:
        """The message; two thirds have EDNS with 1232 octets."""
        body = self._bodies.get(question)
        if body is None:
            body = (dns.name.from_text(question.name).to_wire() or b"") + struct.pack(
                "!HH", dns.rdatatype.from_text(question.rdtype), 1
            )
            if "-v" not in question.name:
                self._bodies[question] = body
        edns = number % 3 > 0
        return struct.pack("!HHHHHH", number, 0, 1, 0, 0, edns) + body + (_OPT if edns else b"")


class UdpClient:
    """One socket, and so one worker's client."""

    def __init__(self, port: int, watcher: Watcher) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect((LOOPBACK, port))
        self.silences = Silences()
        self._watcher = watcher
        self._waiting: dict[int, Asked] = {}
        self._number = random.randrange(65536)
        self._lowest = 0  # the newest serial it had an answer from

    def ask(self, asking: Asking, now: float) -> None:
        self._number = (self._number + 1) % 65536
        question = asking.choose()
        if not self._watcher.board[Slot.SETTLED]:
            self._lowest = 0  # whose client this is may change now
        floor = max(self._watcher.board[Slot.FLOOR], self._lowest)
        self._waiting[self._number] = Asked(question, now, floor)
        self._watcher.count(Slot.SENT)
        with contextlib.suppress(OSError):  # nobody listens, an earlier question was told: this one stays unanswered
            self.socket.send(asking.write(self._number, question))

    def read(self) -> None:
        while True:
            try:
                data = self.socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                continue  # "connection refused", which an earlier question was told
            now = time.monotonic()
            asked = self._waiting.pop(struct.unpack_from("!H", data)[0], None)
            if asked is None:
                self._watcher.kinds["too late"] += 1
                continue
            self.silences.answered(now)
            self._watcher.latencies.append(now - asked.at)
            self._watcher.kinds[f"udp {asked.question.rdtype}"] += 1
            lowest = self._watcher.check(data, asked, False)
            if self._watcher.board[Slot.SETTLED]:
                self._lowest = max(self._lowest, lowest)

    def give_up(self, before: float) -> None:
        """Forget what was asked before a moment."""
        while self._waiting:
            number = next(iter(self._waiting))
            if self._waiting[number].at > before:
                return
            del self._waiting[number]
            self._watcher.count(Slot.UNANSWERED)


class TcpClient(threading.Thread):
    """One connection after another, some questions on each, one at a time."""

    def __init__(self, port: int, watcher: Watcher, asking: Asking, rate: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._watcher = watcher
        self._asking = asking
        self._interval = 1 / rate
        self.refused = 0
        self.unanswered_connections = 0
        self.over = False

    def run(self) -> None:
        due = time.monotonic()
        while not self.over:
            try:
                with socket.create_connection((LOOPBACK, self._port), timeout=PATIENCE) as connection:
                    due = self._converse(connection, due)
            except OSError:
                self.refused += 1
                time.sleep(0.05)
                due = time.monotonic()

    def _converse(self, connection: socket.socket, due: float) -> float:
        lowest = 0
        for number in range(TCP_PER_CONNECTION):
            due = max(due + self._interval, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
            question = self._asking.choose()
            asked = Asked(question, time.monotonic(), max(self._watcher.board[Slot.FLOOR], lowest))
            self._watcher.count(Slot.SENT)
            try:
                data = self._exchange(connection, self._asking.write(number, question))
            except (OSError, EOFError):
                self._watcher.count(Slot.UNANSWERED)
                self.unanswered_connections += 1
                return due
            self._watcher.kinds[f"tcp {question.rdtype}"] += 1
            lowest = max(lowest, self._watcher.check(data, asked, True))
        return due

    @staticmethod
    def _exchange(connection: socket.socket, message: bytes) -> bytes:
        connection.sendall(struct.pack("!H", len(message)) + message)
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack_from("!H", data)[0]:
            more = connection.recv(65536)
            if not more:
                raise EOFError
            data += more
        return data[2:]


def ask_udp(clients: list[UdpClient], asking: Asking, rate: float, board: Board) -> Silences:
    """The steady stream, until told to stop."""
    anybody = Silences()
    poll = selectors.DefaultSelector()
    for client in clients:
        poll.register(client.socket, selectors.EVENT_READ, client)
    start = time.monotonic()
    sent = 0
    while not board[Slot.STOP]:
        now = time.monotonic()
        owed = int((now - start) * rate) - sent
        if owed > rate:  # this machine cannot keep up: what is a second late is not asked at all
            sent += owed - int(rate)
            owed = int(rate)
        for _ in range(min(owed, 50)):
            clients[sent % len(clients)].ask(asking, now)
            sent += 1
        for key, _ in poll.select(TICK):
            key.data.read()
            anybody.answered(max(client.silences.last for client in clients))
        for client in clients:
            client.give_up(now - PATIENCE)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for key, _ in poll.select(0.1):
            key.data.read()
    for client in clients:
        client.give_up(time.monotonic() + 1)
    return anybody


def main() -> None:
    port, path, rate, seed = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the soak says when it is over
    board = Board(path)
    watcher = Watcher(board)
    tcp = TcpClient(port, watcher, Asking(board, seed), rate * TCP_SHARE)
    clients = [UdpClient(port, watcher) for _ in range(UDP_SOCKETS)]
    tcp.start()
    anybody = ask_udp(clients, Asking(board, seed + 1), rate * (1 - TCP_SHARE), board)
    tcp.over = True
    tcp.join(2 * PATIENCE)
    latencies = sorted(watcher.latencies) or [0.0]
    figures = {
        "kinds": watcher.kinds,
        "median": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
        "all": anybody.figures(),
        "one": {"longest": max(client.silences.figures()["longest"] for client in clients)},
        "tcp_refused": tcp.refused,
        "tcp_cut": tcp.unanswered_connections,
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
