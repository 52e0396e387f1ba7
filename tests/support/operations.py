"""Counting what code does instead of timing it, for claims of the form "no packet takes more steps than …"."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def operations(call: Callable[[], object], package: str = "nameserver") -> int:
    """How many of Python's own instructions a call takes in our code, whatever the machine and its load.

    What a single instruction does in C (a slice, a look-up) is not counted, whatever its length. A coverage tracer is
    set aside meanwhile.
    """
    count = 0

    def step(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        if not str(frame.f_globals.get("__name__", "")).startswith(package):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return step

    before = sys.gettrace()
    try:
        sys.settrace(step)
        call()
    finally:
        sys.settrace(before)
    return count
