"""TCP connections, all of a process on one epoll(7), which the event loop watches as a single file.

Most connections live for one question. What the loops do to begin and to end watching a socket costs as much as
answering it does; here that is one system call each, and mostly the question is there when its connection is taken:

    accept ─▶ Stream ─▶ read at once ─▶ protocol ─▶ write at once ─▶ watch for what comes next
                                                           └ and for room, where the kernel did not take all

A `Stream` is to its protocol what asyncio's transports are, with the same promises; reading and writing wait for each
other in no way.
"""

import asyncio
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nameserver.server.answering.tls_layer import TlsLayer

READ_SIZE = 16 * 1024  # octets taken at a time
AT_ONCE = 64  # sockets looked at before others get their turn
_LOW_SHARE = 4  # a protocol that was paused goes on when so many-th of the high-water mark is left to be written
_IN, _OUT, _BROKEN = select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR | select.EPOLLHUP


class Streams:
    """The connections of a process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.epoll = select.epoll()
        self._streams: dict[int, Stream] = {}
        self._watching = False

    def add(self, sock: socket.socket, protocol: "asyncio.Protocol | TlsLayer") -> None:
        """A connection that was taken: its protocol hears of it now, and of what has arrived already."""
        sock.setblocking(False)
        stream = Stream(self, sock, protocol)
        if not self._watching:
            self.loop.add_reader(self.epoll.fileno(), self._ready)
            self._watching = True
        self._streams[sock.fileno()] = stream
        try:
            stream.begin()
        except OSError:  # the kernel has no room to watch one more
            stream.abort()
            raise

    def forget(self, number: int) -> None:
        """The connection with this descriptor is about to be closed."""
        del self._streams[number]
        if not self._streams:
            self.loop.remove_reader(self.epoll.fileno())
            self._watching = False

    def _ready(self) -> None:
        for number, events in self.epoll.poll(0, AT_ONCE):
            stream = self._streams.get(number)
            if stream is not None:
                stream.ready(events)


class Stream(asyncio.Transport):
    """One connection."""

    def __init__(self, streams: Streams, sock: socket.socket, protocol: "asyncio.Protocol | TlsLayer") -> None:
        super().__init__()
        self._streams = streams
        self._socket = sock
        self._number = sock.fileno()
        self._protocol = protocol
        self._unsent = bytearray()
        self._high = 64 * 1024
        self._watched = -1  # the events asked for; -1: not registered
        self._reading = True
        self._protocol_paused = False
        self._closing = False
        self._lost = False

    def begin(self) -> None:
        """Tell the protocol, read what is there, and watch from now on."""
        self._protocol.connection_made(self)
        if self._reading and not self._closing:
            self._read()
        self._watch()

    def ready(self, events: int) -> None:
        """Something happened."""
        if events & _OUT and self._unsent:
            self._write_on()
        if self._reading and not self._closing:
            if events & (_IN | _BROKEN):
                self._read()
        elif events & _BROKEN and not self._unsent:
            self.abort()  # nobody is there to be read, once reading goes on
        self._watch()

    def _watch(self) -> None:
        """Ask for the events that matter now, if those have changed."""
        if self._lost or (self._closing and not self._unsent):
            return
        wanted = (_IN if self._reading and not self._closing else 0) | (_OUT if self._unsent else 0)
        if wanted != self._watched:
            if self._watched < 0:
                self._streams.epoll.register(self._number, wanted)
            else:
                self._streams.epoll.modify(self._number, wanted)
            self._watched = wanted

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        self._tell(self._protocol.data_received, data) if data else self._end_of_input()

    def _end_of_input(self) -> None:
        self._reading = False
        if not self._tell(self._protocol.eof_received):
            self.close()

    def _tell(self, what: Callable[..., bool | None], *arguments: bytes) -> bool | None:
        """Call the protocol; where that breaks, so does the connection."""
        try:
            return what(*arguments)
        except BaseException:
            self.abort()
            raise

    # --- what asyncio.Transport promises -----------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, or what the kernel takes of it now and the rest later."""
        if self._closing:
            return
        sent = 0
        if not self._unsent:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.abort()
                return
            if sent == len(data):
                return
        self._unsent += data[sent:]
        self._watch()
        if len(self._unsent) > self._high and not self._protocol_paused:
            self._protocol_paused = True
            self._protocol.pause_writing()

    def _write_on(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        del self._unsent[:sent]
        if self._protocol_paused and len(self._unsent) <= self._high // _LOW_SHARE:
            self._protocol_paused = False
            self._tell(self._protocol.resume_writing)
        if self._closing and not self._unsent:
            self._streams.loop.call_soon(self._end)

    def pause_reading(self) -> None:
        """Read no more, for now."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read again."""
        if not self._closing:
            self._reading = True
            self._watch()

    def is_reading(self) -> bool:
        """Whether what arrives is read."""
        return self._reading and not self._closing

    def is_closing(self) -> bool:
        """Whether it is closed, or will be once everything is written."""
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How many octets wait until the protocol is told to pause."""
        if high is not None:
            self._high = high

    def get_write_buffer_size(self) -> int:
        """Octets that wait for the kernel."""
        return len(self._unsent)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """The socket."""
        return self._socket if name == "socket" else default

    def close(self) -> None:
        """Close once everything is written."""
        if not self._closing:
            self._closing = True
            if self._unsent:
                self._watch()
            else:
                self._streams.loop.call_soon(self._end)

    def abort(self) -> None:
        """Close at once, whatever waits."""
        self._unsent.clear()
        self._closing = True
        self._streams.loop.call_soon(self._end)

    def _end(self) -> None:
        if self._lost:
            return
        self._lost = True
        self._streams.forget(self._number)
        try:
            self._protocol.connection_lost(None)
        finally:
            self._socket.close()
            del self._protocol  # the two hold each other: as it is they go at once, and no collector has to find them
