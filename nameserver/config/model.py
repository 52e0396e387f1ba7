"""The configuration as frozen values: what the rest of the daemon sees of the TOML file.

Everything here is resolved: a zone holds its remotes and their keys, its access lists are policy objects of the
core, defaults and templates are applied, units are seconds and bytes. Two zones that compare equal are configured
equally,
which is what `reload` goes by.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nameserver.query.acl import Acl
from nameserver.query.rate_limit import RateLimits
from nameserver.refresh.timers import TimerLimits
from nameserver.transfer.limits import TransferLimits
from nameserver.wire.tsig import TsigKey
from nameserver.zone.history import HistoryLimits


class Endpoint(NamedTuple):
    """An address with its port; `host` is a literal IPv4 or IPv6 address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The `[server]` table."""

    listen: tuple[Endpoint, ...]
    state_dir: Path
    control: Path
    listen_tls: tuple[Endpoint, ...] = ()
    workers: int = 0  # 0: one per CPU core
    http: Endpoint | None = Endpoint("127.0.0.1", 9530)
    nsid: bytes = b""  # RFC 5001; empty: off
    version: str = ""  # CHAOS version.bind; empty: REFUSED
    identity: str = ""  # CHAOS id.server; empty: REFUSED
    max_udp_size: int = 1232  # largest UDP reply, and what our OPT announces
    minimal_responses: bool = True
    cookies: bool = True  # RFC 7873
    cookie_secrets: tuple[bytes, ...] = field(
        default=(), repr=False
    )  # the first makes cookies; empty: made at the start
    require_cookies: bool = False
    rate_limit: RateLimits = RateLimits()
    tcp_idle_timeout: float = 10.0
    tcp_message_timeout: float = 5.0  # from the first to the last octet of a request
    tcp_max_clients: int = 500
    tcp_max_clients_per_address: int = 100
    transfers_in: int = 20  # at once, over all primaries
    transfers_per_primary: int = 5
    transfers_out: int = 10  # at once, per worker
    transfers_out_per_address: int = 2  # at once, per worker
    transfers_out_wait: float = 10.0  # for one of these places
    transfers_out_idle_timeout: float = 30.0
    transfers_out_min_rate_bytes: int = 128 * 1024  # what a client that is waited for takes at least …
    transfers_out_min_rate_interval: float = 60.0  # … in each interval of this length
    transfers_out_total_timeout: float = 7200.0
    soa_checks: int = 50  # in flight at once; at most a quarter of them with one address
    soa_rate: int = 100  # begun in a second by the SOA timers, over all zones
    notify_rate: int = 500  # NOTIFYs, and checks with those who were told, begun in a second
    silent_primary_time: float = 600.0  # an address that did not answer is asked by one zone at a time; 0: never
    per_zone_metrics: bool = True
    log_format: str = "plain"  # or "json"
    log_level: str = "info"
    event_loop: str = "auto"  # "uvloop", "asyncio"; auto: uvloop where it is installed


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of ours, as PEM: with its chain, and its key. Equal where the files hold the same."""

    chain: str
    key: str = field(repr=False)
    expires: float  # Unix seconds


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What `[server]` says of TLS on `listen_tls`. Apart from `ServerConfig`, since a reload takes it."""

    certificate: Certificate
    client_ca: str = ""  # PEM; empty: clients are not asked for a certificate
    require_client_certificate: bool = False


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """A `[tls.NAME]` table: how to know a remote over TLS, and what to show it. Whatever is given must hold.

    With pins alone nothing else of the remote's certificate is looked at: they name its key.
    """

    name: str
    server_name: str = ""  # in its certificate, and sent as SNI
    pins: tuple[bytes, ...] = ()  # SHA-256 of its SubjectPublicKeyInfo
    ca: str = ""  # PEM; empty: the system's
    certificate: Certificate | None = None  # ours
    require_alpn: bool = True  # that it agrees to ALPN "dot", as RFC 9103 says; old servers pass it over


@dataclass(frozen=True, slots=True)
class Remote:
    """A `[remote.NAME]` table: a peer. Its addresses are tried in order.

    `keys` is empty (unsigned), or one key, or two while one takes the other's place: the first is preferred, the other
    signs where the first is not accepted, and what comes from the peer may be signed with either.
    """

    name: str
    addresses: tuple[Endpoint, ...]
    keys: tuple[TsigKey, ...] = ()
    request_ixfr: bool = True
    source: str | None = None  # local address to connect from
    tls: TlsPeer | None = None  # everything to it goes over TLS, nothing otherwise


@dataclass(frozen=True, slots=True)
class PullLimits:
    """Time limits on talking to a primary."""

    connect_timeout: float = 5.0
    idle_timeout: float = 30.0
    total_timeout: float = 7200.0
    min_rate_bytes: int = 10_240  # at least this much …
    min_rate_interval: float = 300.0  # … in each interval of this length
    udp_timeout: float = 2.0  # per try of the SOA check
    udp_tries: int = 3


@dataclass(frozen=True, slots=True)
class ZoneConfig:
    """A `[zone."NAME"]` table with its template applied."""

    name: bytes  # folded absolute wire name
    text: str  # as shown to people: no trailing dot but for the root
    type: str = "secondary"  # or "primary"
    file: Path | None = None  # primary zones only
    primaries: tuple[Remote, ...] = ()
    also_notify: tuple[Remote, ...] = ()
    notify_ns: bool = False  # also the servers that the zone's NS records name
    check_downstreams: bool = True  # ask those who were told for their serial, until they answer the new one
    allow_notify: Acl = Acl()  # beyond the primaries themselves
    allow_transfer: Acl = Acl()
    timers: TimerLimits = TimerLimits()
    limits: TransferLimits = TransferLimits()
    pull: PullLimits = PullLimits()
    history: HistoryLimits = HistoryLimits()
    override: str = ""  # why type, file and primaries are not what the configuration says; empty where they are


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration that was read without a problem."""

    path: Path
    server: ServerConfig
    keys: dict[bytes, TsigKey] = field(default_factory=dict)  # by folded wire name
    remotes: dict[str, Remote] = field(default_factory=dict)
    zones: dict[bytes, ZoneConfig] = field(default_factory=dict)  # by folded wire name
    tls: ServerTls | None = None
    warnings: tuple[str, ...] = ()  # 'FILE:LINE: path: text', nothing that stops a start
