"""Access lists: within a row AND, rows OR, an empty list nobody."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True)
class TlsClient:
    """What is known of a client that came over TLS. Without a certificate, or with one not asked for: nothing."""

    names: frozenset[str] = frozenset()  # the DNS names in its certificate, in small letters
    pin: bytes = b""  # SHA-256 of the certificate's key


@dataclass(frozen=True, slots=True)
class AclRow:
    """One row: every part that is given must hold. `key` is a folded wire name.

    `tls` demands that the request came over TLS; `certificate_name` and `certificate_pin`, with a certificate that was
    found good and has this name, this key.
    """

    network: IPv4Network | IPv6Network | None = None
    key: bytes | None = None
    tls: bool = False
    certificate_name: str = ""
    certificate_pin: bytes = b""

    def allows(self, address: IPv4Address | IPv6Address, key: bytes | None, client: TlsClient | None = None) -> bool:
        """`address` is the peer's (IPv4-mapped already unwrapped), `key` the one its TSIG verified under.

        `client`: who it is by TLS, None where it did not come over TLS.
        """
        if self.tls:
            if client is None or (self.certificate_name and self.certificate_name not in client.names):
                return False
            if self.certificate_pin and self.certificate_pin != client.pin:
                return False
        if self.network is not None and (address.version != self.network.version or address not in self.network):
            return False
        return self.key is None or self.key == key


@dataclass(frozen=True, slots=True)
class Acl:
    """Rows of which one must allow."""

    rows: tuple[AclRow, ...] = ()

    def allows(self, address: IPv4Address | IPv6Address, key: bytes | None, client: TlsClient | None = None) -> bool:
        """Whether any row allows; a row that names no key also allows a signed request, one without TLS one over it."""
        return any(row.allows(address, key, client) for row in self.rows)
