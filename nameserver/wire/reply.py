"""What is to be answered, before it becomes bytes."""

from dataclasses import dataclass, field

from nameserver.wire import codes
from nameserver.wire.rrset import RRset


@dataclass(slots=True)
class Reply:
    """An answer. `nameserver.wire.render.render` adds what the request decides: id, question, RD, whether OPT."""

    rcode: int = codes.NOERROR  # up to 4095; what lies above 15 needs the request to have had EDNS (RFC 6891 §6.1.3)
    authoritative: bool = False
    answer: list[RRset] = field(default_factory=list)
    authority: list[RRset] = field(default_factory=list)
    additional: list[RRset] = field(default_factory=list)
    options: list[tuple[int, bytes]] = field(default_factory=list)  # for our OPT, if there will be one
    # How many of the first additional RRsets set TC when they do not fit: a referral's in-domain glue (RFC 9471 §3.1).
    glue_required: int = 0
    # For the authority section too, all of them or none, and the addresses that go with them.
    name_servers: tuple[RRset, ...] = ()
    server_addresses: tuple[RRset, ...] = ()
    truncated: bool = False  # says so whatever it holds: the client is to come back over TCP
