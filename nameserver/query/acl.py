"""Access lists: within a row AND, rows OR, an empty list nobody."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True)
class AclRow:
    """One row: every part that is given must hold. `key` is a folded wire name."""

    network: IPv4Network | IPv6Network | None = None
    key: bytes | None = None

    def allows(self, address: IPv4Address | IPv6Address, key: bytes | None) -> bool:
        """`address` is the peer's (IPv4-mapped already unwrapped), `key` the one its TSIG verified under."""
        if self.network is not None and (address.version != self.network.version or address not in self.network):
            return False
        return self.key is None or self.key == key


@dataclass(frozen=True, slots=True)
class Acl:
    """Rows of which one must allow."""

    rows: tuple[AclRow, ...] = ()

    def allows(self, address: IPv4Address | IPv6Address, key: bytes | None) -> bool:
        """Whether any row allows; a row that names no key also allows a signed request."""
        return any(row.allows(address, key) for row in self.rows)
