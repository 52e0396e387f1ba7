"""A real validating resolver, unbound, that asks one authoritative server for given zones and trusts given keys."""

from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
from support.ask import LOOPBACK
from support.process import WITNESSES, Child, free_port, program, short_directory
from support.wait import wait_for

PROGRAMS = ("unbound",)


class Unbound:
    """One resolver. `zones` maps each zone to its trust anchor, a DNSKEY or DS record as text, or to "" for none.

    All are asked of one server. Nothing is cached unless `caches`.
    """

    def __init__(
        self, zones: Mapping[str, str], server_port: int, server: str = LOOPBACK, *, caches: bool = False
    ) -> None:
        self.port = free_port()
        self.directory = short_directory("unbound")
        self.child: Child | None = None
        stubs = "".join(
            f'stub-zone:\n  name: "{zone}"\n  stub-addr: {server}@{server_port}\n'
            f"  stub-no-cache: {'no' if caches else 'yes'}\n"
            for zone in zones
        )
        anchors = "".join(f"  trust-anchor: '{anchor}'\n" for anchor in zones.values() if anchor)
        self._config = (
            f"server:\n  interface: {LOOPBACK}\n  port: {self.port}\n  access-control: {LOOPBACK}/32 allow\n"
            f'  directory: "{self.directory}"\n  chroot: ""\n  username: ""\n  pidfile: "{self.directory}/pid"\n'
            '  use-syslog: no\n  logfile: ""\n  do-daemonize: no\n  num-threads: 1\n  do-not-query-localhost: no\n'
            '  module-config: "validator iterator"\n  val-log-level: 2\n'
            "  qname-minimisation: no\n  aggressive-nsec: no\n"
            + ("" if caches else "  cache-max-ttl: 0\n  cache-max-negative-ttl: 0\n  msg-cache-size: 0\n")
            + f'  local-zone: "test." nodefault\n'
            f"{anchors}remote-control:\n  control-enable: no\n{stubs}"
        )
        WITNESSES.append(self.explain)

    def __enter__(self) -> "Unbound":
        path = Path(self.directory) / "unbound.conf"
        path.write_text(self._config)
        self.child = Child([program("unbound") or "unbound", "-d", "-c", str(path)], self.directory / "log")
        wait_for(self._answers, 15, "unbound to answer")
        return self

    def __exit__(self, *_: object) -> None:
        if self.child is not None:
            self.child.terminate()
        WITNESSES.remove(self.explain)

    def _answers(self) -> bool:
        try:
            self.ask("localhost", "A")
        except (OSError, dns.exception.Timeout):
            return False
        return True

    def ask(self, name: str, rdtype: str) -> dns.message.Message:
        """The resolver's answer to a question with DO: SERVFAIL where what it was told is bogus."""
        query = dns.message.make_query(name, rdtype, use_edns=0, want_dnssec=True, payload=1232)
        return dns.query.udp_with_fallback(query, LOOPBACK, port=self.port, timeout=5)[0]

    def explain(self) -> str:
        """The end of its log."""
        return f"--- unbound, its log ends with:\n{self.child.log[-4000:] if self.child else ''}"
