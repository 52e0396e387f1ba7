"""The zones' rows as the store's writer keeps them in memory, for writes that share a transaction and fail together."""

from collections.abc import Iterator
from contextlib import contextmanager

from nameserver.store.schema import StoredZone


class Rows(dict[bytes, StoredZone]):
    """By folded wire name. What is set or deleted by key within `all_or_none` can be taken back."""

    _before: dict[bytes, StoredZone | None] | None = None  # within it: what was changed, as it was; None: not there

    @property
    def grouped(self) -> bool:
        """Whether this is within `all_or_none`."""
        return self._before is not None

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Around changes that are taken back where an exception leaves it: they cost as much as there are of them."""
        before = self._before = {}
        try:
            yield
        except BaseException:
            self._before = None
            for name, zone in before.items():
                if zone is None:
                    self.pop(name, None)
                else:
                    self[name] = zone
            raise
        finally:
            self._before = None

    def __setitem__(self, name: bytes, zone: StoredZone) -> None:
        self._keep(name)
        super().__setitem__(name, zone)

    def __delitem__(self, name: bytes) -> None:
        self._keep(name)
        super().__delitem__(name)

    def _keep(self, name: bytes) -> None:
        if self._before is not None:
            self._before.setdefault(name, self.get(name))
