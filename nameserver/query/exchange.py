"""The values that pass between the stages of the pipeline, and what comes out of it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from nameserver.errors import Reason
from nameserver.query.acl import TlsClient
from nameserver.query.dependence import Dependence
from nameserver.query.rate_limit import Told
from nameserver.query.zoneset import ServedZone
from nameserver.wire.cookie import Cookie
from nameserver.wire.edns import ede_option
from nameserver.wire.reply import Reply
from nameserver.wire.request import Request
from nameserver.wire.tsig import TsigKey


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """What the operator decides about answers. Empty means: not told to anybody."""

    nsid: bytes = b""  # RFC 5001
    version: str = ""  # CHAOS version.bind, version.server
    identity: str = ""  # CHAOS id.server, hostname.bind (RFC 4892)
    max_udp_size: int = 1232  # octets; the largest reply over UDP, and what our OPT announces
    minimal_responses: bool = True  # positive answers without the zone's name servers
    cookie_secrets: tuple[bytes, ...] = field(default=(), repr=False)  # the first makes cookies; none: no cookies
    require_cookies: bool = False  # clients that send cookies get answers over UDP only with a good one
    tcp_idle_timeout: float = 10.0  # seconds; what clients that ask for EDNS keepalive are told


@dataclass(slots=True)
class Exchange:
    """A request that was understood, with who sent it. `key` is the one its TSIG verified under, if it had one.

    `cookie` is what its COOKIE option came to, if it had one and we take cookies. `transport` is "udp" or "tcp", `now`
    whole seconds since 1970.
    """

    request: Request
    address: IPv4Address | IPv6Address
    transport: str
    now: int
    key: TsigKey | None = None
    cookie: Cookie | None = None
    limited: bool = False  # its answer came too often
    client: TlsClient | None = None  # who it is by TLS; None: it did not come over TLS

    @property
    def key_name(self) -> bytes | None:
        """The verified key's folded name, as access lists know it."""
        return None if self.key is None else self.key.name

    @property
    def request_mac(self) -> bytes:
        """The request's MAC, which a signed reply covers (RFC 8945 §5.3); empty for an unsigned request."""
        return b"" if self.key is None or self.request.tsig is None else self.request.tsig.mac


@dataclass(frozen=True, slots=True)
class NotifyReceived:
    """A NOTIFY that may start a check. It is a hint, not data: `serial` is what the sender claims, if anything."""

    zone: bytes  # folded
    source: str  # the sender's address
    serial: int | None
    key: bytes | None  # folded name of the TSIG key it verified under


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """A transfer out that is allowed and has something to send. The shell streams it, signed if `key` is given.

    `options` are for the OPT record of the reply, if the request had one.
    """

    zone: ServedZone
    qtype: int  # AXFR or IXFR
    request: Request
    serial: int | None  # the client's, with IXFR
    key: TsigKey | None
    request_mac: bytes
    options: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A transfer or NOTIFY that was turned away: nothing that depends on it happens, but somebody may want to know.

    `zone` and `key` are what the request named, folded wire names; neither need exist here.
    """

    zone: bytes
    source: str
    asked: str  # "axfr", "ixfr" or "notify"
    reason: Reason
    key: bytes | None = None


class Repeatable(NamedTuple):
    """Of a reply that may be given again: what it was counted as, what it depends on, and how often it may be given.

    `told` and `told_under` are what rate limits go by; None for the name asked for.
    """

    query_slot: int
    response_slot: int
    control: bool  # counted in the zone's `control_queries`
    dependence: Dependence
    told: Told
    told_under: bytes | None


@dataclass(slots=True)
class Outcome:
    """What is to be done about a message: at most one reply or transfer, and perhaps a NOTIFY or a refusal to pass on.

    All None: the message is dropped without a word. `repeatable` is set where the reply depends on nothing but the
    message's octets after the id, the transport, and zones; but for `cookie`, where that is not empty: what our COOKIE
    option holds is for this client and second only. `alike` where another NOTIFY with the same octets after the
    id, from the same address, comes to the same as long as the zone's rules and the settings stay.
    """

    reply: bytes | None = None
    notify: NotifyReceived | None = None
    transfer: TransferRequest | None = None
    refused: Refused | None = None
    repeatable: Repeatable | None = None
    cookie: bytes = b""
    alike: bool = False


def refusal(rcode: int, extended: int | None = None, text: str = "") -> Reply:
    """A reply without records. `extended` is an RFC 8914 code with its text; it is shown to clients that use EDNS."""
    return Reply(rcode=rcode, options=[] if extended is None else [ede_option(extended, text)])
