"""Response rate limits: who floods, or is flooded in his own name, gets less than he asks for; others all of it."""

import random
from ipaddress import ip_address, ip_network

import dns.flags
import dns.message
import pytest
from support.pipelines import CLIENT, NOW, counted, handle, pipeline_of, question, served
from support.served_zones import HEAD

from nameserver.query.exchange import QuerySettings
from nameserver.query.pipeline import Pipeline
from nameserver.query.rate_limit import RateLimiter, RateLimits, Told, Verdict
from nameserver.wire.cookie import make

SECRET = bytes(16)
HERE = ip_address("192.0.2.1")


def limiter(**more) -> RateLimiter:
    return RateLimiter(RateLimits(**({"rate": 10, "places": 1 << 12} | more)), SECRET)


def judged(limits: RateLimiter, count: int, now: int = NOW, *, address=HERE, told=Told.POSITIVE, name=b"n") -> list:
    return [limits.judge(address, told, name, now) for _ in range(count)]


def test_a_seconds_worth_is_sent_then_every_second_one_is_truncated_and_the_rest_dropped() -> None:
    verdicts = judged(limiter(), 30)
    assert verdicts[:10] == [Verdict.SEND] * 10
    assert verdicts[10:] == [Verdict.DROP, Verdict.SLIP] * 10


def test_a_steady_rate_within_the_limit_is_never_limited() -> None:
    limits = limiter()
    assert {verdict for second in range(60) for verdict in judged(limits, 9, NOW + second)} == {Verdict.SEND}


def test_a_flood_has_to_stop_for_a_window_to_be_forgotten() -> None:
    limits = limiter(window=15, slip=0)
    for second in range(30):
        judged(limits, 100, NOW + second)
    assert judged(limits, 1, NOW + 29 + 14) == [Verdict.DROP]
    assert judged(limits, 1, NOW + 29 + 17) == [Verdict.SEND]


def test_slip_1_truncates_all_and_slip_0_none() -> None:
    assert set(judged(limiter(slip=1), 30)[10:]) == {Verdict.SLIP}
    assert set(judged(limiter(slip=0), 30)[10:]) == {Verdict.DROP}


def test_a_network_shares_an_account_and_other_networks_names_and_kinds_have_their_own() -> None:
    limits = limiter(slip=0)
    judged(limits, 10)
    assert judged(limits, 1, address=ip_address("192.0.2.255")) == [Verdict.DROP]
    assert judged(limits, 1, address=ip_address("192.0.3.1")) == [Verdict.SEND]
    assert judged(limits, 1, name=b"other") == [Verdict.SEND]
    assert judged(limits, 1, told=Told.NXDOMAIN) == [Verdict.SEND]


def test_ipv6_is_counted_by_56_bits() -> None:
    limits = limiter(slip=0)
    judged(limits, 10, address=ip_address("2001:db8:0:1::1"))
    assert judged(limits, 1, address=ip_address("2001:db8:0:ff::2")) == [Verdict.DROP]
    assert judged(limits, 1, address=ip_address("2001:db8:0:100::1")) == [Verdict.SEND]


def test_exempt_networks_have_no_limit() -> None:
    limits = limiter(exempt=(ip_network("192.0.2.0/28"), ip_network("2001:db8::/32")))
    assert set(judged(limits, 100)) == {Verdict.SEND}
    assert Verdict.DROP in judged(limits, 100, address=ip_address("192.0.2.16"))


def test_a_million_forged_sources_take_no_more_room_and_leave_others_alone() -> None:
    limits, chooser = limiter(places=1 << 10), random.Random(1)
    sizes = [len(limits._owners), len(limits._balances), len(limits._times)]
    for _ in range(20_000):
        limits.judge(ip_address(chooser.getrandbits(32)), Told.POSITIVE, b"n", NOW)
    assert [len(limits._owners), len(limits._balances), len(limits._times)] == sizes
    assert judged(limits, 1, NOW + 20) == [Verdict.SEND]


def test_the_clock_may_wrap_or_step_back() -> None:
    limits = limiter(slip=0)
    judged(limits, 100, 2**32 - 1)
    assert judged(limits, 1, 2**32 + 20) == [Verdict.SEND]
    judged(limits, 100, NOW)
    assert judged(limits, 1, NOW - 3600) == [Verdict.SEND]  # as after any long time


# --- in the pipeline


def limited(**more) -> Pipeline:
    ours = pipeline_of(served(HEAD, "example.com."), settings=QuerySettings(cookie_secrets=(SECRET,)))
    ours.limiter = limiter(rate=1, **more)
    return ours


def told(ours: Pipeline, data: bytes, times: int = 9, **more) -> list[str]:
    """What becomes of a message asked so often: "answer", "truncated" or "nothing"."""
    found = []
    for _ in range(times):
        reply = handle(ours, data, **more).reply
        if reply is None:
            found.append("nothing")
            continue
        read = dns.message.from_wire(reply)
        found.append("truncated" if read.flags & dns.flags.TC else "answer")
        assert not (read.flags & dns.flags.TC and (read.answer or read.authority))
    return found


@pytest.mark.parametrize("name", ["ns1.example.com.", "nowhere.example.com.", "elsewhere.test."])
def test_over_udp_answers_are_limited_and_counted(name: str) -> None:
    ours = limited()
    assert told(ours, question(name), 5) == ["answer", "nothing", "truncated", "nothing", "truncated"]
    counts = counted(ours)
    assert counts["nameserver_rate_limited_total{action=drop}"] == 2
    assert counts["nameserver_rate_limited_total{action=slip}"] == 2


def test_names_made_up_at_random_share_one_account() -> None:
    ours = limited(slip=0)
    found = [told(ours, question(f"x{number}.example.com."), 1) for number in range(5)]
    assert found == [["answer"], *[["nothing"]] * 4]


def test_malformed_requests_are_limited_too() -> None:
    ours = limited()
    assert [handle(ours, question("a.") + b"x").reply is None for _ in range(4)] == [False, True, True, True]


def test_over_tcp_and_with_a_good_cookie_nothing_is_limited() -> None:
    ours = limited()
    assert set(told(ours, question("ns1.example.com."), transport="tcp")) == {"answer"}
    client = b"12345678"
    good = client + make(client, ip_address(CLIENT), NOW, SECRET)
    data = question("ns1.example.com.", edns=1232, options=[dns.edns.GenericOption(10, good)])
    assert set(told(ours, data)) == {"answer"}
    bad = question("ns1.example.com.", edns=1232, options=[dns.edns.GenericOption(10, client)])
    assert "nothing" in told(ours, bad)


def test_a_flood_gets_back_less_than_it_sends() -> None:
    """4.3: ten thousand questions from one network: the victim gets no more octets than were sent in his name."""
    ours = limited()
    data = question("example.com.", "NS", edns=1232)
    sent = got = 0
    for second in range(10):
        for _ in range(200):
            sent += len(data)
            got += len(handle(ours, data, now=NOW + second).reply or b"")
    assert got <= sent
