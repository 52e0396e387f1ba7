"""How much may be under way at once towards primaries: in all, and of that with any one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

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

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Wait for a place, hold it, give it back."""
        async with AsyncExitStack() as stack:
            self.waiting += 1
            try:
                await stack.enter_async_context(self._of_share(key))
                await stack.enter_async_context(self._total)
            finally:
                self.waiting -= 1
            self.held += 1
            try:
                yield
            finally:
                self.held -= 1

    @asynccontextmanager
    async def _of_share(self, key: str) -> AsyncIterator[None]:
        share, users = self._shares.get(key) or (asyncio.Semaphore(self._share), 0)
        self._shares[key] = share, users + 1
        try:
            async with share:
                yield
        finally:
            share, users = self._shares.pop(key)
            if users > 1:
                self._shares[key] = share, users - 1


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
