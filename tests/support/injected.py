"""Faults put into a daemon's processes from outside: what Python runs first in each of them is a test's own code."""

from pathlib import Path


def inject(directory: Path, code: str) -> dict[str, str]:
    """The environment in which `code` runs first in every process of a program written in Python."""
    (directory / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(directory)}


# Questions whose name begins with one of these do what it says, in whatever process answers them.
ANSWERING = """
import time
import nameserver.query.pipeline as pipeline
answer = pipeline.answer_query
def answer_query(zones, request, *more, **by_name):
    name = request.qname_folded
    if name.startswith(b"\\x05break"):
        raise RuntimeError("broken on purpose")
    if name.startswith(b"\\x05stall"):
        time.sleep(0.6)
    if name.startswith(b"\\x05reply"):
        return None
    return answer(zones, request, *more, **by_name)
pipeline.answer_query = answer_query
import nameserver.server.answering.notify_forwarder as forwarder
def received(self, notify):
    raise RuntimeError("callback broken on purpose")
forwarder.NotifyForwarder.received = received
"""
