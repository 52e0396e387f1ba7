"""What goes with answers: RFC 1034 §4.3.2 step 6, RFC 1035 §3.3, RFC 2782, RFC 9460 §4.1."""

import pytest
from support.pipelines import ask, lines, pipeline_of, served

from nameserver.query.exchange import QuerySettings

ZONE = """
@ 300 SOA ns1 host 1 3600 600 86400 300
@ 300 NS ns1
@ 300 NS ns.cut
@ 300 NS ns.elsewhere.test.
@ 300 MX 10 mail
@ 300 MX 20 alias
@ 300 MX 30 ns.cut
@ 300 MX 40 made.wild
ns1 300 A 192.0.2.1
ns1 300 AAAA 2001:db8::1
mail 300 A 192.0.2.2
alias 300 CNAME mail
cut 300 NS ns.cut
ns.cut 300 A 192.0.2.3
*.wild 300 A 192.0.2.4
_dns._udp 300 SRV 0 0 53 ns1
_dot._tcp 300 SRV 0 0 853 .
web 300 HTTPS 0 pool
pool 300 HTTPS 1 . alpn=h2
pool 300 A 192.0.2.5
svc 300 HTTPS 1 pool
same 300 HTTPS 1 .
same 300 A 192.0.2.6
to 300 CNAME _dns._udp
old 300 MB mail
old 300 AFSDB 1 mail
old 300 RT 10 mail
old 300 KX 10 mail
many 300 NS ns1
many 300 DS 1 13 2 {digest}
""".replace("{digest}", "ab" * 32)


def more(name: str, rdtype: str, **settings) -> set[str]:
    """The additional section, as "owner type"."""
    ours = pipeline_of(served(ZONE, "example.test."), settings=QuerySettings(**settings))
    reply = ask(ours, name, rdtype, edns=1232)
    assert reply.answer
    return {f"{rrset.name} {rrset.rdtype.name}" for rrset in reply.additional}


def test_mx_the_addresses_of_hosts_in_the_zone_but_not_of_aliases_nor_what_others_serve() -> None:
    assert more("example.test.", "MX") == {"mail.example.test. A", "made.wild.example.test. A"}


def test_ns_the_addresses_of_servers_glue_included() -> None:
    assert more("example.test.", "NS") == {"ns1.example.test. A", "ns1.example.test. AAAA", "ns.cut.example.test. A"}


def test_srv_the_addresses_of_the_target_also_at_the_end_of_an_alias() -> None:
    wanted = {"ns1.example.test. A", "ns1.example.test. AAAA"}
    assert more("_dns._udp.example.test.", "SRV") == wanted
    assert more("to.example.test.", "SRV") == wanted
    assert more("_dot._tcp.example.test.", "SRV") == set()


@pytest.mark.parametrize("rdtype", ["MB", "AFSDB", "RT", "KX"])
def test_the_types_before_and_after_mx_the_address_of_the_host(rdtype: str) -> None:
    """RFC 1035 §3.3.3, RFC 1183 §1 and §3.3, RFC 2230 §3.1."""
    assert more("old.example.test.", rdtype) == {"mail.example.test. A"}


def test_https_the_addresses_of_the_target() -> None:
    assert more("svc.example.test.", "HTTPS") == {"pool.example.test. A"}


def test_https_in_alias_mode_the_targets_own_records_too() -> None:
    assert more("web.example.test.", "HTTPS") == {"pool.example.test. HTTPS", "pool.example.test. A"}


def test_https_for_its_own_owner_nothing_is_added() -> None:
    assert more("same.example.test.", "HTTPS") == set()


@pytest.mark.parametrize(("name", "rdtype"), [("mail.example.test.", "A"), ("example.test.", "SOA")])
def test_other_types_name_no_hosts(name: str, rdtype: str) -> None:
    assert more(name, rdtype) == set()


def test_without_minimal_responses_the_name_servers_go_with_every_positive_answer() -> None:
    ours = pipeline_of(served(ZONE, "example.test."), settings=QuerySettings(minimal_responses=False))
    servers = {"ns1.example.test. A", "ns1.example.test. AAAA", "ns.cut.example.test. A"}
    for name, rdtype, added in (("mail", "A", servers), ("_dns._udp", "SRV", servers)):
        reply = ask(ours, f"{name}.example.test.", rdtype, edns=1232)
        assert [(str(rrset.name), rrset.rdtype.name) for rrset in reply.authority] == [("example.test.", "NS")]
        assert {f"{rrset.name} {rrset.rdtype.name}" for rrset in reply.additional} == added
    assert not ask(ours, "example.test.", "NS").authority
    assert lines(ask(ours, "many.example.test.", "DS").answer)
    assert not ask(ours, "many.example.test.", "DS").authority
    assert [rrset.rdtype.name for rrset in ask(ours, "no.example.test.", "A").authority] == ["SOA"]


def test_what_has_no_room_is_left_out_without_a_word() -> None:
    text = ZONE + "".join(
        f"crowd 300 MX {number} host{number}\nhost{number} 300 A 10.0.0.{number}\n" for number in range(20)
    )
    ours = pipeline_of(served(text, "example.test."))
    reply = ask(ours, "crowd.example.test.", "MX", edns=512)
    assert len(reply.answer[0]) == 20 and not reply.flags & 0x0200
    assert len(reply.additional) < 20


def test_the_hosts_looked_up_for_one_answer_are_bounded() -> None:
    text = ZONE + "".join(f"huge 300 MX {n} h{n}\nh{n} 300 A 10.0.{n // 250}.{n % 250}\n" for n in range(300))
    ours = pipeline_of(served(text, "example.test."))
    assert len(ask(ours, "huge.example.test.", "MX", transport="tcp").additional) == 64
