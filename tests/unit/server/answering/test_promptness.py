"""A worker asks for short turns, and for nothing else."""

import ctypes
import os
import struct
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from nameserver.server.answering import promptness

GETATTR = {"x86_64": 315, "aarch64": 275}
REMEMBERS_TURNS = (6, 12)  # the first Linux that does


def in_a_thread(job: Callable[[], object]) -> object:
    """What is asked for holds for the thread alone."""
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(job()))
    thread.start()
    thread.join()
    return got[0]


def standing() -> tuple[int, int]:
    """Policy and niceness."""
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)


def turn() -> int:
    """Nanoseconds, as the kernel tells."""
    attributes = ctypes.create_string_buffer(48)
    ctypes.CDLL(None).syscall(GETATTR[os.uname().machine], 0, attributes, 48, 0)
    return int(struct.unpack_from("=Q", attributes, 24)[0])


def test_turns_get_short_and_all_else_stays() -> None:
    def job() -> tuple[bool, bool]:
        before = standing()
        done = promptness.ask_for_short_turns()
        release = tuple(int("".join(filter(str.isdigit, part)) or 0) for part in os.uname().release.split(".")[:2])
        shown = done and release >= REMEMBERS_TURNS and os.uname().machine in GETATTR
        return standing() == before, not shown or turn() in (0, promptness.TURN)  # 0: a sandbox's own kernel

    assert in_a_thread(job) == (True, True)


def test_who_was_given_another_policy_keeps_it() -> None:
    def job() -> tuple[bool, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return promptness.ask_for_short_turns(), os.sched_getscheduler(0)

    assert in_a_thread(job) == (False, os.SCHED_BATCH)


@pytest.mark.parametrize("missing", ["machine", "function", "permission"])
def test_where_it_cannot_be_asked_for_nothing_happens(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    if missing == "machine":
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="vax"))
    elif missing == "function":
        monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    else:
        monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(syscall=lambda *_: -1))
    assert promptness.ask_for_short_turns() is False
