"""Places for what may happen only so many times at once: so many in all, and so many for one client."""

import asyncio
from collections import Counter, OrderedDict


class Places:
    """Who waits gets, in order, the first place that he may have: a client with his share holds up nobody else."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._free = most
        self._most_per_client = most_per_client
        self._held: Counter[bytes] = Counter()
        self._waiting: OrderedDict[asyncio.Future[None], bytes] = OrderedDict()

    @property
    def held(self) -> int:
        """Places taken."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    async def take(self, client: bytes, patience: float) -> bool:
        """Take a place, after a wait of up to `patience` seconds; False where none was to be had."""
        if self._grant(client):
            return True
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = client
        try:
            async with asyncio.timeout(patience):
                await place
        except TimeoutError:
            # It may have come in the moment in which we stopped waiting.
            return place.done() and not place.cancelled()
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give_back(client)
            raise
        finally:
            self._waiting.pop(place, None)
        return True

    def give_back(self, client: bytes) -> None:
        """Give up a place that was taken."""
        self._free += 1
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        for place, waiting in list(self._waiting.items()):
            if not self._free:
                return
            if not place.done() and self._grant(waiting):
                del self._waiting[place]
                place.set_result(None)

    def _grant(self, client: bytes) -> bool:
        if not self._free or self._held[client] >= self._most_per_client:
            return False
        self._free -= 1
        self._held[client] += 1
        return True
