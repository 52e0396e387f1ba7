"""Sends NOTIFY to one port at a steady rate and counts the replies, without waiting for any: a process of its own.

python -m floods.notify_sender PORT --zone ZONE --start MONOTONIC --seconds S --rate N     prints one line of JSON
"""

import argparse
import json
import socket
import struct
import sys
import time
from collections import Counter

from floods.primary import notify
from support.ask import LOOPBACK

TICK = 0.001
CATCH_UP = 0.02  # seconds' worth sent at once at most, where this process was held up; what is beyond is not sent
AFTERWARDS = 0.5  # seconds for the last replies
SO_RCVBUFFORCE = 33
REPLY_BUFFER = 8 * 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True)
    given = parser.parse_args()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _widen(sock)
        sock.bind((LOOPBACK, 0))
        sock.connect((LOOPBACK, given.port))
        sock.setblocking(False)
        replies: Counter[int] = Counter()
        sent = storm(sock, notify(given.zone), given.start or time.monotonic(), given.seconds, given.rate, replies)
    json.dump({"sent": sent, "answered": replies[0], "replies": replies.total()}, sys.stdout)


def storm(sock: socket.socket, message: bytes, start: float, seconds: float, rate: float, replies: Counter[int]) -> int:
    """The sending; how many went out. `replies` counts what came back by RCODE."""
    body, sent, skipped, number = message[2:], 0, 0, 0
    time.sleep(max(0.0, start - time.monotonic()))
    while (now := time.monotonic()) < start + seconds:
        due = int((now - start) * rate) - sent - skipped
        if (excess := due - int(rate * CATCH_UP)) > 0:
            skipped += excess
            due -= excess
        for _ in range(due):
            number = (number + 1) & 0xFFFF
            try:
                sock.send(struct.pack("!H", number) + body)
            except OSError:  # the queue is full, or nobody listens
                skipped += 1
            else:
                sent += 1
        _drain(sock, replies)
        time.sleep(TICK)
    while time.monotonic() < start + seconds + AFTERWARDS:
        _drain(sock, replies)
        time.sleep(TICK)
    return sent


def _drain(sock: socket.socket, replies: Counter[int]) -> None:
    while True:
        try:
            reply = sock.recv(512)
        except OSError:
            return
        replies[reply[3] & 15] += 1


def _widen(sock: socket.socket) -> None:
    """Room for replies that come while we send."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, REPLY_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, REPLY_BUFFER)


if __name__ == "__main__":
    main()
