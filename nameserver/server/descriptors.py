"""Open files: as many as may be had, shared out so that no crowd of clients takes those that the server itself needs.

The system's limit counts sockets too. Where clients may use it up, the next to go without is the store, and then the
transfers, and then everything. So each answering process takes as many clients as leave it what it needs besides.
"""

import contextlib
import os
import resource
from dataclasses import replace

from nameserver.config.model import ServerConfig

# In any of our processes: standard streams, event loop, channel, counters, log, what the libraries open for a moment.
BASE = 32
PER_READ = 3  # a connection to the store: its file, its journal, the journal's index
IDLE_READS = 4  # connections to the store that are kept between reads
PER_WORKER = 4  # in the transfer process: channel, counters, the process itself
HTTP_AND_CONTROL = 64 + 256 + 4  # their clients, their listening sockets
PER_PULL = 2  # a transfer in or a check: its socket, the one that it connects next


def fill_standard_streams() -> None:
    """Open /dev/null in place of standard streams that we were started without.

    Else the next file or socket gets the number 2, and whatever is printed to standard error goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            os.set_inheritable(number, True)


def raise_limit() -> int:
    """Raise our limit on open files as far as we may, which is for our children too; the limit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # some systems say "unlimited" and mean less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft if soft != resource.RLIM_INFINITY else 2**31


def fitted(server: ServerConfig, workers: int, limit: int) -> tuple[ServerConfig, list[str]]:
    """The settings with as many TCP clients as `limit` open files allow, and what the operator should know of it."""
    problems: list[str] = []
    sockets = 2 * len(server.listen) + len(server.listen_tls)
    reads = PER_READ * (server.transfers_out + IDLE_READS)
    for_clients = max(1, limit - BASE - sockets - reads)
    if server.tcp_max_clients > for_clients:
        problems.append(
            f"tcp-max-clients = {server.tcp_max_clients} needs more open files than the {limit} that are allowed: "
            f"at most {for_clients} TCP clients at once in each worker; raise the limit (LimitNOFILE=, ulimit -n)"
        )
        share = min(server.tcp_max_clients_per_address, for_clients)
        server = replace(server, tcp_max_clients=for_clients, tcp_max_clients_per_address=share)
    pulls = PER_PULL * (server.transfers_in + server.soa_checks)
    needed = BASE + workers * (sockets + PER_WORKER) + HTTP_AND_CONTROL + pulls + PER_READ * IDLE_READS
    if needed > limit:
        problems.append(
            f"the {limit} open files that are allowed may not be enough: with these settings the transfer process "
            f"may need {needed}; raise the limit (LimitNOFILE=, ulimit -n)"
        )
    return server, problems
