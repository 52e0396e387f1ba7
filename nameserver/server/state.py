"""The parts of a running daemon, as those who report on it see them."""

import time
from dataclasses import dataclass, field

from nameserver.config.model import Config
from nameserver.server.reload import Reload
from nameserver.server.supervisor import Supervisor
from nameserver.server.zones.downstreams import Downstreams
from nameserver.server.zones.manager import ZoneManager
from nameserver.server.zones.publisher import Publisher
from nameserver.store.database import Store
from nameserver.telemetry.tally import Tally


@dataclass(slots=True)
class DaemonState:
    """What the daemon is made of, and what it has counted."""

    config: Config
    loop_name: str  # "uvloop" or "asyncio"
    tally: Tally
    store: Store
    supervisor: Supervisor
    publisher: Publisher
    downstreams: Downstreams
    zones: ZoneManager
    reload: Reload
    started: float = field(default_factory=time.time)  # wall clock
    sending: dict[int, int] = field(default_factory=dict)  # worker → transfers out under way
    queued: dict[int, int] = field(default_factory=dict)  # worker → transfers out that wait for a place
