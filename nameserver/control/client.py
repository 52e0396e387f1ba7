"""The commands' end of the control socket. Blocking, and quick to import."""

import os
import socket
from pathlib import Path

from nameserver.control.protocol import (
    MAX_RESPONSE,
    ControlError,
    ControlTimeout,
    ControlUnreachable,
    Json,
    decode,
    encode,
)


class ControlClient:
    """One connection to a running server. A context manager; requests go one after the other."""

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        """Connect. `timeout` bounds every wait, in seconds. Raises ControlUnreachable."""
        self._path = path
        self._timeout = timeout
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ControlUnreachable(_why(path, error)) from error
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._socket.close()

    def call(self, verb: str, *, patience: float = 0.0, **arguments: object) -> Json:
        """Ask, and return the response without its "ok". `patience`: seconds the server may need beyond the usual.

        Raises ControlError with the server's own sentence when it refuses, its subclass ControlTimeout when it is not
        done within the request's "timeout", ControlUnreachable when it goes away.
        """
        self._socket.settimeout(self._timeout + patience)
        try:
            self._socket.sendall(encode({"verb": verb, **arguments}))
            line = self._stream.readline(MAX_RESPONSE)
        except TimeoutError as error:
            raise ControlUnreachable(f"the server at {self._path} did not answer in time") from error
        except OSError as error:
            raise ControlUnreachable(f"the server at {self._path} went away: {error.strerror or error}") from error
        if not line.endswith(b"\n"):
            raise ControlUnreachable(f"the server at {self._path} hung up before it had answered")
        response = decode(line)
        if response.pop("ok", False) is not True:
            text = str(response.get("error", "the server refused without saying why"))
            raise ControlTimeout(text) if response.get("timeout") else ControlError(text)
        return response


def call(path: Path, verb: str, *, patience: float = 0.0, **arguments: object) -> Json:
    """One request on a connection of its own."""
    with ControlClient(path) as client:
        return client.call(verb, patience=patience, **arguments)


def _why(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            hint = "is the server running, and with this configuration?"
        case ConnectionRefusedError():
            hint = "the socket is there, but no server listens: it was killed or is starting"
        case PermissionError():
            hint = f"user {os.geteuid()} may not: join the socket's group, or use sudo"
        case _:
            hint = "is this the control socket of the server?"
    return f"no server at {path}: {error.strerror or error} ({hint})"
