"""A stand-in for the server's end of the control socket: answers what a test says, and remembers what it was asked."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class ControlPeer:
    """A context manager. `answer` makes the whole response, "ok" included, of a request."""

    def __init__(self, path: Path, answer: Callable[[Json], Json]) -> None:
        self.path = path
        self.requests: list[Json] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "ControlPeer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join(5)
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.requests.append(request)
                    peer.sendall(json.dumps(self._answer(request)).encode() + b"\n")
