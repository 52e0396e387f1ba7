"""What the other interop tests take for granted of each peer, asked of it alone: when these fail, it is not us."""

import socket

import dns.message
import dns.opcode
import pytest
from support.ask import LOOPBACK, Key, TransferRefused, transfer, zone_records
from support.daemon import new_key
from support.peers import PRIMARIES, Target, requires
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


def next_notify(listener: socket.socket, key: Key) -> dns.message.Message:
    """The next NOTIFY that comes in, verified and answered: a peer that gets no answer keeps others back."""
    data, sender = listener.recvfrom(4096)
    message = dns.message.from_wire(data, keyring=key.dnspython)
    listener.sendto(dns.message.make_response(message).to_wire(), sender)
    return message


@pytest.mark.parametrize("name", list(PRIMARIES))
def test_the_peer_transfers_with_its_key_alone_tells_of_changes_and_keeps_history_where_it_can(name: str) -> None:
    kind = PRIMARIES[name]
    requires(*kind.programs)
    key = new_key("transfer-key")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((LOOPBACK, 0))
        listener.settimeout(20)
        target = Target(listener.getsockname()[1], key)
        with kind({ZONE: zone_text(ZONE, 1)}, transfer_key=key, notify=[target]) as primary:
            primary.start()
            assert len(zone_records(primary.port, ZONE, key)) == 35
            while next_notify(listener, key).opcode() != dns.opcode.NOTIFY:
                pass
            primary.update(ZONE, zone_text(ZONE, 2, hosts=21))
            notify = next_notify(listener, key)
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
