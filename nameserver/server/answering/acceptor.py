"""Taking connections from a listening socket.

The loops have accept loops of their own, and neither does what a server under a flood needs. When descriptors run out,
asyncio tries, and logs, once for each place in the backlog, and then waits a second; libuv takes each connection and
closes it at once. Ours closes the longest idle clients, waits a moment, says so once a minute, and goes on.
"""

import asyncio
import contextlib
import errno
import socket

from nameserver.server.answering.tcp import TcpServer
from nameserver.server.answering.tls_layer import TlsLayer
from nameserver.server.sockets import TCP_BACKLOG

BATCH = 16  # connections taken before other sockets and timers get their turn
PAUSE = 0.05  # seconds until the next try, when something that a connection needs has run out
ROOM = 8  # clients cut off then
_HAS_RUN_OUT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Gives the clients of one listening socket to a `TcpServer`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, server: TcpServer, *, tls: bool = False
    ) -> None:
        """`tls`: they are to speak TLS."""
        self._loop = loop
        self._tls = tls
        self._socket = sock
        self._server = server
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def close(self) -> None:
        """Take who has connected already, then stop. The socket is left open: it is not ours."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._loop.remove_reader(self._socket.fileno())
        with contextlib.suppress(OSError):
            for _ in range(TCP_BACKLOG // BATCH):
                self._take()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            self._take()
        except OSError as error:
            self._server.faults.mention("taking a connection", error)
            if error.errno in _HAS_RUN_OUT:
                self._server.clients.make_room(ROOM)
            # Closing takes a turn of the loop; and what was not meant above shall not keep the loop busy either.
            self._loop.remove_reader(self._socket.fileno())
            self._pause = self._loop.call_later(PAUSE, self._resume)

    def _take(self) -> None:
        for _ in range(BATCH):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:  # gone while it waited
                continue
            try:
                client = self._server.admit(address[0], address[1])
            except BaseException:
                sock.close()
                raise
            if client is None:
                sock.close()
                continue
            self._server.streams.add(sock, TlsLayer(self._server.handshakes, client) if self._tls else client)
