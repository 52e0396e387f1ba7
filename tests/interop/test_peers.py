"""What the other interop tests take for granted of each peer, asked of it alone: when these fail, it is not us."""

import contextlib
import select
import socket
import struct

import dns.message
import dns.opcode
import pytest
from support.ask import LOOPBACK, Key, TransferRefused, transfer, zone_records
from support.daemon import new_key
from support.peers import PRIMARIES, Target, requires
from support.process import free_port
from support.zones import zone_text

pytestmark = pytest.mark.timeout(60)

ZONE = "example.com"

# RCODE and TSIG error of the answer to a transfer request that: has the wrong secret, an unknown key, no key.
REFUSALS = {
    "bind": [("NOTAUTH", "BADSIG"), ("NOTAUTH", "BADKEY"), ("REFUSED", "none")],
    "knot": [("NOTAUTH", "BADSIG"), ("NOTAUTH", "BADKEY"), ("NOTAUTH", "none")],
    "nsd": [("NOTAUTH", "BADSIG"), ("NOTAUTH", "BADKEY"), ("REFUSED", "none")],
    "pdns": [("NOTAUTH", "none"), ("NOTAUTH", "none"), ("NOTAUTH", "none")],
}


class Listener:
    """Where NOTIFYs arrive: BIND, NSD and PowerDNS send them over UDP, Knot over TCP. Each is verified and answered."""

    def __init__(self, key: Key) -> None:
        self.port = free_port()
        self._key = key
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((LOOPBACK, self.port))
        self._streams = socket.create_server((LOOPBACK, self.port))

    def close(self) -> None:
        self._datagrams.close()
        self._streams.close()

    def next(self, timeout: float) -> dns.message.Message | None:
        """The next one; None when none came in time."""
        ready, _, _ = select.select([self._datagrams, self._streams], [], [], timeout)
        if self._datagrams in ready:
            data, sender = self._datagrams.recvfrom(4096)
            message = self._read(data)
            self._datagrams.sendto(dns.message.make_response(message).to_wire(), sender)
            return message
        if self._streams in ready:
            connection, _ = self._streams.accept()
            with connection:
                connection.settimeout(5)
                (size,) = struct.unpack("!H", connection.recv(2))
                message = self._read(connection.recv(size))
                answer = dns.message.make_response(message).to_wire()
                connection.sendall(struct.pack("!H", len(answer)) + answer)
                return message
        return None

    def _read(self, data: bytes) -> dns.message.Message:
        return dns.message.from_wire(data, keyring=self._key.dnspython)


@pytest.mark.parametrize("name", list(PRIMARIES))
def test_the_peer_transfers_with_its_key_alone_tells_of_changes_and_keeps_history_where_it_can(name: str) -> None:
    kind = PRIMARIES[name]
    requires(*kind.programs)
    key = new_key("transfer-key")
    with contextlib.closing(Listener(key)) as listener:
        target = Target(listener.port, key)
        with kind({ZONE: zone_text(ZONE, 1)}, transfer_key=key, notify=[target]) as primary:
            primary.start()
            assert len(zone_records(primary.port, ZONE, key)) == 35
            while listener.next(0.5):
                pass  # not all tell of their start
            primary.update(ZONE, zone_text(ZONE, 2, hosts=21))
            notify = listener.next(20)
            assert notify, f"no NOTIFY came\n{primary.explain()}"
            assert (notify.opcode(), notify.had_tsig) == (dns.opcode.NOTIFY, True)

            changes = transfer(primary.port, ZONE, key, since=1)
            assert (changes[1].rdtype == "SOA") == primary.serves_ixfr
            assert len(zone_records(primary.port, ZONE, key)) == 36

            wrong = [Key(key.name, new_key("x").secret), Key("some-other-key", key.secret), None]
            for bad, expected in zip(wrong, REFUSALS[name], strict=True):
                with pytest.raises(TransferRefused) as refusal:
                    transfer(primary.port, ZONE, bad)
                assert (refusal.value.rcode, refusal.value.tsig_error) == expected
            primary.stop()
            assert not primary.child.group()
