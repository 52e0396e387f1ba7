"""Two of our daemons that speak TLS with each other (RFC 9103): all goes over it, certificates change at a reload."""

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.ask import LOOPBACK
from support.certificates import Issued, authority
from support.daemon import new_key
from support.pair import Feeder, Own
from support.process import free_port
from support.zones import zone_text

from nameserver.control.protocol import ControlError

ZONE = "example.com"
KEY = new_key("transfer-key")


def speak_tls(ours: Own, name: str, port: int) -> None:
    """Have it listen on a port with TLS, under that name, and know the other one as `tls.peer`."""
    authority().issue(name).write(ours.directory, "server")
    (ours.directory / "ca.pem").write_text(authority().pem)
    ours.settings |= {"listen-tls": f'["{LOOPBACK}:{port}"]', "tls-certificate": '"server.pem"'}
    ours.settings |= {"tls-key": '"server.key"', "tls-client-ca": '"ca.pem"', "tcp-idle-timeout": '"300ms"'}


def peer(ours: Own, remote: str, name: str, port: int) -> None:
    """A remote that is spoken to over TLS alone, with our certificate shown to it."""
    ours.tables["tls.peer"] = {"server-name": f'"{name}"', "ca": '"ca.pem"'}
    ours.tables["tls.peer"] |= {"certificate": '"server.pem"', "key": '"server.key"'}
    ours.remote(remote, port, KEY)
    ours.tables[f"remote.{remote}"]["tls"] = '"peer"'


@contextmanager
def tls_pair() -> Iterator[tuple[Feeder, Own, int]]:
    """A primary and its secondary, and the primary's port with TLS; each knows the other by its certificate."""
    above, below = free_port(), free_port()
    with Feeder(KEY, tell=below) as primary, Own() as secondary:
        secondary.keys.append(KEY)
        speak_tls(primary, "primary.example.net", above)
        speak_tls(secondary, "secondary.example.net", below)
        peer(primary, "edge", "secondary.example.net", below)
        peer(secondary, "primary", "primary.example.net", above)
        primary.feed(ZONE, zone_text(ZONE, 1))
        rows = primary.tables[f'zone."{ZONE}"']
        rows["allow-transfer"] = '[{ remote = "edge", certificate-name = "secondary.example.net" }]'
        secondary.zone_table(ZONE, primaries='["primary"]')
        primary.start()
        secondary.start()
        yield primary, secondary, above


def shown(port: int) -> bytes:
    """The certificate that is shown there, DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["dot"])
    with socket.create_connection((LOOPBACK, port), 5) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True) or b""


def test_everything_between_two_remotes_with_tls_goes_over_it() -> None:
    with tls_pair() as (primary, secondary, _):
        rows = primary.tables[f'zone."{ZONE}"']["allow-transfer"]
        primary.feed(ZONE, zone_text(ZONE, 2))
        primary.tables[f'zone."{ZONE}"']["allow-transfer"] = rows
        primary.reread()
        secondary.wait(lambda: secondary.serial(ZONE) == 2, 15, "the change")
        primary.wait(lambda: "notify out" in primary.log, 15, "word of the NOTIFY")
        primary.wait(lambda: primary.log.count("transfer out") == 2, 15, "word of the transfers")

        lines = [line for line in secondary.log.splitlines() if "check zone" in line or "transfer in" in line]
        assert any("check zone" in line for line in lines)
        assert all("transport=tls" in line for line in lines), lines
        assert primary.log.count("transport=tls asked=") == 2
        notified = {name for name, value in secondary.metrics().items() if value and 'opcode="NOTIFY"' in name}
        assert notified
        assert all('transport="tcp"' in name for name in notified), "no NOTIFY came in plain, by UDP"
        metrics = secondary.metrics()
        ends = "certificate_expires_timestamp_seconds"
        assert metrics[f'nameserver_tls_{ends}{{certificate="server"}}'] > 1e9
        assert metrics[f'nameserver_tls_{ends}{{certificate="tls.peer"}}'] > 1e9
        assert metrics[f'nameserver_primary_{ends}{{primary="primary"}}'] > 1e9
        assert metrics['nameserver_tls_handshakes_total{outcome="ok"}'] > 0

        why = secondary.command("why", ZONE)
        assert "from primary over TLS" in why
        assert "its certificate ends in" in why
        assert "(TLS)" in secondary.command("status")


def test_a_certificate_is_exchanged_by_a_reload_and_a_key_that_others_can_read_is_not_taken() -> None:
    with tls_pair() as (primary, secondary, port):
        before = shown(port)
        renewed: Issued = authority().issue("primary.example.net")
        renewed.write(primary.directory, "server")
        assert primary.child is not None
        os.kill(primary.child.process.pid, signal.SIGHUP)
        primary.wait(lambda: shown(port) == renewed.der, 15, "the new certificate")
        assert before != renewed.der

        authority().issue("primary.example.net").write(primary.directory, "server")
        (primary.directory / "server.key").chmod(0o644)
        with pytest.raises(ControlError, match=r"server\.key can be read or written by others"):
            primary.order("reload")
        assert shown(port) == renewed.der

        authority().issue("somebody.example.net").write(primary.directory, "server")
        primary.order("reload")
        name = 'nameserver_tcp_connections_total{event="idle-timeout"}'
        primary.wait(lambda: primary.metrics()[name] > 0, 15, "the end of connections from before")
        secondary.order("refresh", zone=ZONE)
        secondary.wait(lambda: secondary.zone(ZONE)["last_reason"] == "tls-peer-identity", 15, "the wrong name")
        assert secondary.serial(ZONE) == 1, "what is held is served"
        assert "somebody else answers there" in secondary.command("why", ZONE, expect=1)
