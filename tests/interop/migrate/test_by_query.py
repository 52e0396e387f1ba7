"""What a server answers, held against what the same server hands out: questions show the zone, and make up nothing."""

import asyncio
from pathlib import Path

import pytest
from support.ask import LOOPBACK
from support.own_server import own_server
from support.peers import PRIMARIES, Primary
from support.signing import Nsec, Nsec3, signed_nodes

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.asking.zone_stream import fetch_zone, record_text
from nameserver.migrate.checks.by_query import ask_zone, askable_of, restrict
from nameserver.migrate.checks.compare import differences
from nameserver.wire import names
from nameserver.zone.zone_text import write_zone_file

pytestmark = pytest.mark.interop

ZONE = "shop.example"
MANY = "".join(f"many NS ns{number}.a-rather-long-label-{number}.many\n" for number in range(13))
MANY += "".join(f"ns{number}.a-rather-long-label-{number}.many AAAA 2001:db8::{number + 1}\n" for number in range(13))
OCCLUDED = 'hidden.sub TXT "never seen"\n'
TEXT = f"""@ 300 IN SOA ns1 host 5 3600 900 1209600 300
@ NS ns1
@ MX 10 www
ns1 A 192.0.2.53
WWW 60 A 192.0.2.1
www TXT "{"x" * 250}" "{"y" * 250}" "{"z" * 250}" "{"a" * 250}" "{"b" * 250}" "{"c" * 250}"
a.b.c CNAME www
*.apps CNAME www
*.apps.deep A 192.0.2.7
gone DNAME other.example.
sub NS ns.sub
sub NS ns.other
sub NS ns.outside.example.
ns.sub 30 A 192.0.2.9
ns.sub AAAA 2001:db8::9
other NS other
other A 192.0.2.10
plain NS ns1
safe NS ns.safe
safe DS 12345 13 2 {"ab" * 32}
ns.safe A 192.0.2.11
{OCCLUDED}{MANY}"""


def served(name: str, method: Nsec | Nsec3) -> Primary:
    """The zone at one of the peers. PowerDNS signs it itself, as it does not take signatures with a zone file, and puts
    what is occluded into the chain that it answers with, though not into the one that it hands out: without that.
    """
    if name != "pdns":
        apex, nodes = signed_nodes(TEXT, f"{ZONE}.", method)
        return PRIMARIES[name]({ZONE: write_zone_file(nodes, apex)}).start()
    peer = PRIMARIES[name]({ZONE: f"$ORIGIN {ZONE}.\n$TTL 300\n{TEXT.replace(OCCLUDED, '')}"}).start()
    steps = [["secure-zone", ZONE], *([["set-nsec3", ZONE, "1 1 3 aabb"]] if isinstance(method, Nsec3) else [])]
    for step in (*steps, ["rectify-zone", ZONE]):
        peer.run("pdnsutil", f"--config-dir={peer.directory}", *step)
    peer.stop()
    return peer.restart()


async def held_against_itself(at: Endpoint) -> None:
    """Every record that a server's answers show is as in its transfer, and those that no question shows are few."""
    zone = names.from_text(ZONE)
    whole = await fetch_zone(zone, at)
    seen, coverage = await ask_zone(Asker(), zone, at, askable_of(whole))
    kept, left_out = restrict(whole, askable_of(whole), coverage.shown)
    unlike = [
        f"{each.kind.name} {record_text(each.old or each.new or b'', zone)}" for each in differences(kept, seen.records)
    ]
    assert unlike == [], "\n".join(unlike)
    assert (coverage.silent, len(kept) + sum(left_out.values())) == (0, len(whole.records))
    # The NSEC or NSEC3 of the delegation with a DS, and its signature.
    assert left_out["signatures and proofs of absence"] == 2
    assert left_out.get("records below delegations", 0) <= 1


METHODS = pytest.mark.parametrize("method", [Nsec(), Nsec3(3, "aabb", opt_out=True)], ids=["nsec", "nsec3"])


@METHODS
@pytest.mark.parametrize("name", sorted(PRIMARIES))
def test_every_record_that_questions_show_is_the_one_that_is_transferred(name: str, method: Nsec | Nsec3):
    with served(name, method) as peer:
        asyncio.run(held_against_itself(Endpoint(LOOPBACK, peer.port)))


@METHODS
async def test_so_it_is_with_ours(method: Nsec | Nsec3, tmp_path: Path):
    apex, nodes = signed_nodes(TEXT, f"{ZONE}.", method)
    async with own_server(tmp_path) as server:
        server.serve(ZONE, write_zone_file(nodes, apex))
        await held_against_itself(Endpoint(LOOPBACK, server.port))
