"""Transfers over TLS (RFC 9103) with other people's servers, in both directions.

What the versions that Debian 12 packages can do, found out here and by their manuals:

    | | as a primary | as a secondary | certificate of the client |
    | BIND 9.18 | yes | yes | asked for by `ca-file`, shown by `cert-file` |
    | NSD 4.6 | yes, but passes over ALPN | yes | never asked for; shown, but not at the first connection |
    | Knot 3.2 | no: over TLS from 3.5 on | no: the same | only `kdig`, which transfers over TLS |
    | PowerDNS 4.7 | no | no | no |
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.ask import LOOPBACK
from support.certificates import Authority, Issued, authority
from support.daemon import new_key
from support.pair import Feeder, Own
from support.peers import Primary, requires
from support.process import free_port, program
from support.secondaries import Secondary
from support.tls_peers import TlsBindPrimary, TlsBindSecondary, TlsNsdPrimary, TlsNsdSecondary
from support.zones import zone_text

pytestmark = pytest.mark.timeout(60)

ZONE = "example.com"
NAME = "primary.example.net"
KEY = new_key("transfer-key")
# A server says in its first words what it thinks of a client's certificate, where the end of the connection does not
# overtake them.
REFUSED_US = ("tls-handshake", "closed-early")


def tls_table(ours: Own, issued: Issued | None = None, **more: str) -> dict[str, str]:
    """A `[tls.up]` table of ours, with a certificate of ours where one is given."""
    (ours.directory / "ca.pem").write_text(authority().pem)
    table = {"server-name": f'"{NAME}"', "ca": '"ca.pem"', **more}
    if issued is not None:
        issued.write(ours.directory, "client")
        table |= {"certificate": '"client.pem"', "key": '"client.key"'}
    ours.tables["tls.up"] = table
    return table


@contextmanager
def below(primary: Primary, port: int, issued: Issued | None = None, **more: str) -> Iterator[Own]:
    """One of ours as a secondary of that primary's port with TLS."""
    with Own(template={"connect-timeout": '"2s"'}) as ours:
        ours.keys.append(KEY)
        tls_table(ours, issued, **more)
        ours.remote("primary", port, KEY)
        ours.tables["remote.primary"]["tls"] = '"up"'
        ours.zone_table(ZONE, primaries='["primary"]')
        yield ours


def status_of(ours: Own) -> dict[str, Any]:
    return ours.status()["zones"][0]["primaries"][0]


@pytest.mark.parametrize(("kind", "alpn"), [(TlsBindPrimary, "true"), (TlsNsdPrimary, "false")], ids=["bind", "nsd"])
def test_a_zone_comes_over_tls_whole_and_by_differences(kind: type[Primary], alpn: str) -> None:
    requires(*kind.programs)
    with kind({ZONE: zone_text(ZONE, 1)}, transfer_key=KEY) as primary:
        primary.start()
        with below(primary, primary.tls_port, **{"require-alpn": alpn}) as ours:
            ours.start()
            if kind is TlsNsdPrimary:  # of BIND nobody gets the zone in plain, not even we
                assert ours.axfr(ZONE) == primary.zone_records(ZONE)
            assert len(ours.axfr(ZONE)) == 35
            primary.update(ZONE, zone_text(ZONE, 2, hosts=21))
            # NSD answers the old version for a moment: who asked just then is to ask again.
            ours.wait(lambda: ours.order("refresh", zone=ZONE) and ours.serial(ZONE) == 2, 15, "the change")
            lines = [line for line in ours.log.splitlines() if "transfer in " in line]
            assert all("transport=tls" in line for line in lines)
            assert ["asked=axfr got=axfr" in lines[0], "asked=ixfr got=ixfr" in lines[-1]] == [True, True], lines
            assert not [line for line in ours.log.splitlines() if "transport=udp" in line], "no SOA query went in plain"
            assert status_of(ours)["certificate_expires"] > 0


def test_bind_wants_our_certificate_and_gets_it() -> None:
    requires(*TlsBindPrimary.programs)
    with TlsBindPrimary({ZONE: zone_text(ZONE, 1)}, transfer_key=KEY, mutual=True) as primary:
        primary.start()
        with below(primary, primary.tls_port, authority().issue("secondary.example.net")) as ours:
            ours.start()
            assert ours.serial(ZONE) == 1
            for issued in (None, Authority("Another CA").issue("secondary.example.net")):
                tls_table(ours, issued)
                ours.reread()
                ours.order("retransfer", zone=ZONE)
                ours.wait(lambda: status_of(ours)["last_reason"] in REFUSED_US, 15, "BIND to refuse us")
                tls_table(ours, authority().issue("secondary.example.net"))
                ours.reread()
                ours.order("retransfer", zone=ZONE)
                ours.wait(lambda: status_of(ours)["last_reason"] is None, 15, "BIND to let us in again")


def test_nsd_passes_over_alpn_which_has_to_be_allowed() -> None:
    requires(*TlsNsdPrimary.programs)
    with TlsNsdPrimary({ZONE: zone_text(ZONE, 1)}, transfer_key=KEY) as primary:
        primary.start()
        with below(primary, primary.tls_port) as ours:
            ours.start(wait_ready=False)
            ours.wait(lambda: bool(ours.status()) and status_of(ours)["last_reason"] == "tls-handshake", 15, "the end")
            assert "ALPN" in status_of(ours)["last_detail"]


# --- ours as the primary ---------------------------------------------------------------------------------------------


@contextmanager
def above(rows: str, tell: int = 0, **server: str) -> Iterator[tuple[Feeder, int]]:
    """One of ours as a primary with TLS, and the port of that; NOTIFY goes to the port `tell`, in plain."""
    port = free_port()
    with Feeder(KEY, tell, settings={"listen-tls": f'["{LOOPBACK}:{port}"]', **server}) as ours:
        ours.settings |= {"tls-certificate": '"server.pem"', "tls-key": '"server.key"'}
        authority().issue(NAME).write(ours.directory, "server")
        (ours.directory / "ca.pem").write_text(authority().pem)
        ours.feed(ZONE, zone_text(ZONE, 1))
        ours.tables[f'zone."{ZONE}"']["allow-transfer"] = rows
        yield ours.start(), port


def sent(ours: Feeder) -> list[str]:
    """The log's lines of transfers that went out whole."""
    return [line for line in ours.log.splitlines() if "transfer out " in line and "outcome=ok" in line]


@pytest.mark.parametrize("kind", [TlsBindSecondary, TlsNsdSecondary], ids=["bind", "nsd"])
def test_others_fetch_over_tls_and_not_in_plain(kind: type[Secondary]) -> None:
    requires(*kind.programs)
    secondary_port = free_port()
    with above(f'[{{ address = "127.0.0.0/8", key = "{KEY.name}", tls = true }}]', secondary_port) as (ours, port):
        with kind({ZONE: port}, key=KEY, port=secondary_port) as peer:
            peer.start()
            ours.wait(lambda: peer.serial(ZONE) == 1, 30, "the zone")
            (ours.directory / f"{ZONE}.zone").write_text(zone_text(ZONE, 2, hosts=21))
            ours.order("reload")
            ours.wait(lambda: peer.serial(ZONE) == 2, 30, "the change")
            ours.wait(lambda: len(sent(ours)) == 2, 15, "our word of it")
            assert all("transport=tls" in line for line in sent(ours))
            assert "asked=ixfr got=ixfr" in sent(ours)[1]
        plain = kind.__mro__[1]  # the same secondary, with the key, from the same address, but in plain: C10
        with plain({ZONE: ours.port}, key=KEY) as peer:
            peer.start()
            ours.wait(lambda: "reason=refused" in ours.log, 30, "the refusal")
            assert peer.serial(ZONE) is None


def test_bind_shows_its_certificate_and_is_known_by_it() -> None:
    requires(*TlsBindSecondary.programs)
    rows = f'[{{ address = "127.0.0.0/8", key = "{KEY.name}", certificate-name = "secondary.example.net" }}]'
    with above(rows, **{"tls-client-ca": '"ca.pem"', "tls-require-client-certificate": "true"}) as (ours, port):
        with TlsBindSecondary({ZONE: port}, key=KEY, shown=authority().issue("secondary.example.net")) as peer:
            peer.start()
            ours.wait(lambda: peer.serial(ZONE) == 1, 30, "the zone")
        with TlsBindSecondary({ZONE: port}, key=KEY, shown=authority().issue("somebody.example.net")) as peer:
            peer.start()
            ours.wait(lambda: "reason=refused" in ours.log, 30, "the refusal")
            assert peer.serial(ZONE) is None
        with TlsBindSecondary({ZONE: port}, key=KEY) as peer:
            peer.start()
            name = 'nameserver_tls_handshakes_total{outcome="certificate"}'
            ours.wait(lambda: ours.metrics()[name] > 0, 30, "the refusal")
            assert peer.serial(ZONE) is None


def test_bind_does_not_take_another_name_for_ours() -> None:
    requires(*TlsBindSecondary.programs)
    with (
        above(f'[{{ key = "{KEY.name}", tls = true }}]') as (ours, port),
        TlsBindSecondary({ZONE: port}, key=KEY, server_name="other.example.net") as peer,
    ):
        peer.start()
        ours.wait(lambda: "certificate verification failed" in peer.child.log, 30, "BIND's word")
        assert peer.serial(ZONE) is None


def command(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def test_dig_and_kdig_transfer_over_tls_and_ask_what_they_like() -> None:
    requires("dig", "kdig")
    with above(f'[{{ address = "127.0.0.0/8", key = "{KEY.name}", tls = true }}]') as (ours, port):
        ca = str(ours.directory / "ca.pem")
        sign = ["-y", f"{KEY.algorithm}:{KEY.name}:{KEY.secret}"]
        dig = [program("dig") or "dig", f"@{LOOPBACK}", "-p", str(port), f"+tls-ca={ca}", f"+tls-hostname={NAME}"]
        kdig = [program("kdig") or "kdig", f"@{LOOPBACK}", "-p", str(port), f"+tls-ca={ca}", f"+tls-hostname={NAME}"]
        for tool in (dig, kdig):
            assert "host-20" in command(*tool, "+tls", *sign, ZONE, "AXFR"), tool
            assert "192.0.2.2" in command(*tool, "+tls", f"host-1.{ZONE}", "A"), tool
            assert "192.0.2.2" in command(*tool, "+tls", f"host-1.{ZONE}", "A"), tool
        plain = [program("dig") or "dig", f"@{LOOPBACK}", "-p", str(ours.port), *sign, ZONE, "AXFR"]
        assert "host-20" not in command(*plain)
