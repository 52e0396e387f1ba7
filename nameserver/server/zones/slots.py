"""How much may be under way at once towards primaries: in all, and of that with any one of them."""

import asyncio

from nameserver.config.model import ServerConfig


class Places:
    """Some places, of which the users of one key may hold no more than a share.

    A place of the share is taken first: whoever waits for one of a stalled primary's holds none of the others'.
    """

    def __init__(self, total: int, share: int) -> None:
        self.held = 0
        self.waiting = 0
        self._total = asyncio.Semaphore(total)
        self._share = share
        self._shares: dict[str, tuple[asyncio.Semaphore, int]] = {}  # with who hold or wait for a place of it

    def place(self, key: str) -> "_Place":
        """An asynchronous context: wait for a place, hold it, give it back."""
        return _Place(self, key)

    async def take(self, key: str) -> None:
        """Wait for a place, of the share first."""
        self.waiting += 1
        share, users = self._shares.get(key) or (asyncio.Semaphore(self._share), 0)
        self._shares[key] = share, users + 1
        try:
            await share.acquire()
            try:
                await self._total.acquire()
            except BaseException:
                share.release()
                raise
        except BaseException:
            self._forget_user(key)
            raise
        finally:
            self.waiting -= 1
        self.held += 1

    def give_back(self, key: str) -> None:
        """What was taken is free."""
        self.held -= 1
        self._total.release()
        self._shares[key][0].release()
        self._forget_user(key)

    def _forget_user(self, key: str) -> None:
        share, users = self._shares.pop(key)
        if users > 1:
            self._shares[key] = share, users - 1


class _Place:
    """One place, while its context lasts. (A class: a hundred thousand checks pay for generators and exit stacks.)"""

    __slots__ = ("_held", "_key", "_places")

    def __init__(self, places: Places, key: str) -> None:
        self._places, self._key = places, key
        self._held = False

    def give_back(self) -> None:
        """Before the context ends, or where it does."""
        if self._held:
            self._held = False
            self._places.give_back(self._key)

    async def __aenter__(self) -> "_Place":
        await self._places.take(self._key)
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_back()


class Slots:
    """The places of SOA checks, shared out by address, and of transfers, shared out by remote."""

    def __init__(self, server: ServerConfig) -> None:
        self._checks = Places(server.soa_checks, max(1, server.soa_checks // 4))
        self._transfers = Places(server.transfers_in, server.transfers_per_primary)
        self.check = self._checks.place
        self.transfer = self._transfers.place

    @property
    def transferring(self) -> int:
        """Transfers under way."""
        return self._transfers.held

    @property
    def waiting(self) -> int:
        """Transfers that wait for a place."""
        return self._transfers.waiting
