"""RFC 7766 §5, RFC 6891 §6.2.5, RFC 1035 §4.2: the same answer over UDP, where it fits, and over TCP."""

import dns.flags
import dns.message
import pytest
from support.pipelines import ask, handle, lines, pipeline_of, question, rcode, served
from support.served_zones import HEAD

from nameserver.query.exchange import QuerySettings

LARGE = "\n".join(f"large 60 IN TXT {f'{n:0200}'}" for n in range(12))
MEDIUM = "\n".join(f"medium 60 IN TXT {f'{n:0100}'}" for n in range(6))


@pytest.fixture
def pipeline():
    return pipeline_of(served(f"{HEAD}\n{LARGE}\n{MEDIUM}\nsmall A 192.0.2.1", "example."))


def is_truncated(reply) -> bool:
    return bool(reply.flags & dns.flags.TC)


def test_rfc1035_section_4_2_1_without_edns_512_octets_are_the_limit(pipeline):
    reply = ask(pipeline, "medium.example.", "TXT")
    assert is_truncated(reply)
    assert reply.answer == []
    assert len(handle(pipeline, question("medium.example.", "TXT")).reply) <= 512


def test_rfc6891_section_6_2_5_with_edns_the_clients_size_counts(pipeline):
    assert not is_truncated(ask(pipeline, "medium.example.", "TXT", edns=1232))
    assert is_truncated(ask(pipeline, "medium.example.", "TXT", edns=600))


@pytest.mark.parametrize("announced", [0, 1, 511])
def test_rfc6891_section_6_2_3_sizes_below_512_mean_512(pipeline, announced):
    reply = ask(pipeline, "small.example.", edns=announced)
    assert not is_truncated(reply)
    assert lines(reply.answer)


@pytest.mark.parametrize("size", [512, 1232, 4096])
def test_our_own_bound_holds_against_any_announcement_and_is_what_we_announce(size):
    pipeline = pipeline_of(served(f"{HEAD}\n{LARGE}", "example."), settings=QuerySettings(max_udp_size=size))
    wire_form = handle(pipeline, question("large.example.", "TXT", edns=65535)).reply
    assert len(wire_form) <= size
    reply = dns.message.from_wire(wire_form)
    assert is_truncated(reply) is (size < 4096)
    assert reply.payload == size


def test_rfc7766_section_5_over_tcp_it_comes_whole(pipeline):
    for edns in (None, 512):
        reply = ask(pipeline, "large.example.", "TXT", transport="tcp", edns=edns)
        assert not is_truncated(reply)
        assert len(lines(reply.answer)) == 12


def test_rfc6891_section_6_1_1_opt_answers_opt_and_nothing_else_does(pipeline):
    assert ask(pipeline, "small.example.").edns == -1
    assert ask(pipeline, "small.example.", edns=1232).edns == 0


def test_rfc6891_section_6_1_3_an_unknown_version_is_badvers_and_shows_ours(pipeline):
    data = bytearray(question("small.example.", edns=1232))
    data[-5] = 1  # version, the sixth octet of an OPT record without options
    reply = dns.message.from_wire(handle(pipeline, bytes(data)).reply)
    assert rcode(reply) == "BADVERS"
    assert reply.edns == 0
    assert reply.answer == []


def test_rfc9471_section_3_1_a_referral_without_room_for_its_glue_is_truncated():
    servers = "\n".join(f"sub 60 IN NS {'n' * 50}{n}.sub\n{'n' * 50}{n}.sub 60 IN AAAA 2001:db8::{n}" for n in range(8))
    pipeline = pipeline_of(served(f"{HEAD}\n{servers}", "example."))
    assert is_truncated(ask(pipeline, "www.sub.example."))
    whole = ask(pipeline, "www.sub.example.", edns=1232)
    assert not is_truncated(whole)
    assert len(whole.additional) == 8


def test_rfc9471_section_3_2_a_referral_is_whole_without_the_glue_of_siblings():
    servers = "\n".join(
        f"sub 60 IN NS {'n' * 50}{n}.other\n{'n' * 50}{n}.other 60 IN AAAA 2001:db8::{n}" for n in range(6)
    )
    inside = "sub 60 IN NS ns.sub\nns.sub 60 IN A 192.0.2.53"
    pipeline = pipeline_of(served(f"{HEAD}\nother NS ns.test.\n{inside}\n{servers}", "example."))
    reply = ask(pipeline, "www.sub.example.")
    assert not is_truncated(reply)
    assert lines(reply.additional)[0] == "ns.sub.example. 60 IN A 192.0.2.53"
    assert len(reply.additional) < 7
    assert len(ask(pipeline, "www.sub.example.", edns=1232).additional) == 7


def test_rfc2181_section_9_name_servers_that_have_no_room_beside_an_answer_are_left_out_without_tc():
    servers = "".join(f"@ 60 IN NS {'n' * 40}{n}\n{'n' * 40}{n} 60 IN A 192.0.2.{n}\n" for n in range(8))
    text = f"{HEAD}\n{servers}{MEDIUM.replace('medium', 'text', 4).replace('medium', 'other')}"
    pipeline = pipeline_of(served(text, "example."), settings=QuerySettings(minimal_responses=False))
    reply = ask(pipeline, "text.example.", "TXT")
    assert not is_truncated(reply)
    assert len(lines(reply.answer)) == 4
    assert not reply.authority and not reply.additional
    whole = ask(pipeline, "text.example.", "TXT", edns=1232)
    assert len(lines(whole.authority)) == len(whole.additional) == 9


def test_rfc2181_section_9_what_has_room_in_other_letters_is_sent_even_if_the_rest_has_none():
    servers = "".join(f"Sub.Deep 60 IN NS ns{n}.Sub.Deep\nns{n}.Sub.Deep 60 IN A 192.0.2.{n}\n" for n in range(10, 40))
    pipeline = pipeline_of(served(f"{HEAD}\n{servers}", "example."))
    request = question("wWw.sUb.dEEp.example.", edns=512)
    sizes = {}
    for size in range(512, 700):
        reply = dns.message.from_wire(handle(pipeline, request[:-8] + size.to_bytes(2, "big") + request[-6:]).reply)
        sizes[size] = len(lines(reply.authority)), is_truncated(reply)
    assert all(tc for _, tc in sizes.values())
    assert {count for count, _ in sizes.values()} == {0, 30}
    fits = min(size for size, (count, _) in sizes.items() if count)
    # The header, the question, 30 records and an OPT: the owner is not written again in the zone's letters.
    assert fits == 12 + 26 + 30 * 19 + 11
