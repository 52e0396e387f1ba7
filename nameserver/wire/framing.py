"""Messages on a TCP stream: each behind two octets of length (RFC 1035 §4.2.2, RFC 7766 §8)."""

from nameserver.errors import WireError

MAX_MESSAGE = 65535


def frame(message: bytes) -> bytes:
    """The message behind its length, to be written in one go (RFC 7766 §8). Raises `ValueError` above 65535 octets."""
    size = len(message)
    if size > MAX_MESSAGE:
        raise ValueError(f"a message of {size} octets does not fit into a TCP frame")
    return size.to_bytes(2, "big") + message


class Deframer:
    """Cuts what arrives on a stream into messages, however it is segmented.

    Memory: what `feed` was last given and one incomplete message, so at most `limit` + 2 octets beyond a read.
    """

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self._limit = limit

    @property
    def pending(self) -> int:
        """Octets of a message that has not arrived whole: not 0 at the end of the stream means it was cut short."""
        return len(self._buffer)

    @property
    def broken(self) -> bool:
        """Whether the stream cannot be read beyond the messages returned so far: the next length is not acceptable."""
        return len(self._buffer) >= 2 and not 0 < (self._buffer[0] << 8 | self._buffer[1]) <= self._limit

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """The messages that are whole after `data`, in order.

        Raises `WireError` when the next length is 0 or above `limit`: the stream cannot be read any further. Messages
        in front of it are returned first; the error then comes from the next call.
        """
        buffer = self._buffer
        buffer += data
        messages: list[bytes] = []
        offset, end = 0, len(buffer)
        while end - offset >= 2:
            size = buffer[offset] << 8 | buffer[offset + 1]
            if size == 0 or size > self._limit:
                if messages:
                    break
                raise WireError(f"a TCP frame of {size} octets, where 1 to {self._limit} are accepted")
            if end - offset - 2 < size:
                break
            offset += 2
            messages.append(bytes(buffer[offset : offset + size]))
            offset += size
        del buffer[:offset]
        return messages
