"""What goes over the control socket: JSON objects, one to a line, UTF-8.

    request   {"verb": "status", "zone": "example.com"}
    response  {"ok": true, "server": {…}, "zones": […]}      or      {"ok": false, "error": "no zone example.org …"}
                                                                 (with "timeout": true while it still goes on)

One connection takes any number of requests, one after the other.
"""

import json
from typing import Any

from nameserver.errors import NameserverError

Json = dict[str, Any]

MAX_REQUEST = 64 * 1024  # bytes
MAX_RESPONSE = 256 * 1024 * 1024  # bytes: the status of 100,000 zones
DEFAULT_PATH = "/run/nameserver/control.sock"


class ControlError(NameserverError):
    """A request cannot be done, or the socket cannot be offered: a sentence saying why and what to do."""


class ControlTimeout(ControlError):
    """The server is still at it; it goes on."""


class ControlUnreachable(ControlError):
    """Nobody answers at the control socket (exit code 3)."""


def encode(message: Any) -> bytes:  # noqa: ANN401 - JSON
    """One message, or a part of one, as a line."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def decode(line: bytes) -> Json:
    """The message of a line. Raises ControlError unless it is a JSON object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"not a JSON object: {error}") from error
    if not isinstance(message, dict):
        raise ControlError("not a JSON object")
    return message
