"""All scenarios, in the order of the table."""

from bench.scenario import Scenario
from bench.scenarios.axfr_in import AxfrIn
from bench.scenarios.axfr_out import AxfrOut
from bench.scenarios.changes import Changes
from bench.scenarios.ixfr import Ixfr
from bench.scenarios.latency import Latency
from bench.scenarios.many_zones import ManyZones
from bench.scenarios.nxdomain import Nxdomain
from bench.scenarios.odd_clients import OddClients
from bench.scenarios.restart import Restart
from bench.scenarios.signed import Signed
from bench.scenarios.tcp import Tcp
from bench.scenarios.udp import Udp

SCENARIOS: tuple[Scenario, ...] = (
    Udp(),
    Nxdomain(),
    OddClients(),
    Signed(),
    Tcp(),
    AxfrIn(),
    Ixfr(),
    Changes(),
    Restart(),
    ManyZones(),
    Latency(),
    AxfrOut(),
)
