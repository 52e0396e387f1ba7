"""`pause` and `resume` at a daemon: every worker is silent at once, what is below goes on, the zone comes back."""

import io
import os
import signal
import time
from contextlib import redirect_stderr, redirect_stdout

import dns.message
import dns.query
from support.ask import LOOPBACK
from support.pair import Feeder, Own, pair
from support.zones import zone_text

from nameserver.cli.main import main
from nameserver.store.pause_file import FILE_NAME

ZONE, BESIDE = "example.com", "beside.example"
ASKED = 24  # questions, each from a port of its own: some for every worker


def run(ours: Own, *arguments: str) -> tuple[int, str]:
    """A command, without the cost of a process: its exit code, and what it said."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = main([*arguments, "-c", str(ours.config)])
    return code, said.getvalue()


def answers(ours: Own, zone: str = ZONE, rdtype: str = "A", *, tcp: bool = False) -> set[tuple[str, tuple[str, ...]]]:
    """What many who ask get: RCODEs, each with its extended errors."""
    send = dns.query.tcp if tcp else dns.query.udp
    found = set()
    for number in range(ASKED):
        message = dns.message.make_query(("www." if number % 2 else "") + zone, rdtype, use_edns=0)
        reply = send(message, LOOPBACK, timeout=5, port=ours.port)
        found.add((reply.rcode().name, tuple(f"{int(option.code)} {option.text}" for option in reply.options)))
    return found


PAUSED = ("0 zone paused by the operator",)
OPEN = {("NOERROR", ())}


def test_every_worker_is_silent_by_udp_and_tcp_while_those_below_go_on_and_it_comes_back_at_once() -> None:
    with pair([ZONE, BESIDE], text=zone_text, secondary={"workers": 2}) as (feeder, ours):
        assert answers(ours) == answers(ours, tcp=True) == OPEN
        code, said = run(ours, "pause", ZONE)
        assert code == 0 and "paused, queries get REFUSED until" in said and "(in 1h)" in said
        assert answers(ours) == answers(ours, tcp=True) == {("REFUSED", PAUSED)}
        assert answers(ours, BESIDE) == OPEN, "the other zone does not feel it"
        # What is below sees the SOA, is sent the zone, and is sent what changes meanwhile.
        key = ours.watch_key
        assert ours.query(ZONE, "SOA", key=key).answer[0][0].serial == 1
        assert answers(ours, rdtype="SOA") == {("REFUSED", PAUSED)}
        feeder.update(ZONE, zone_text(ZONE, 2))
        ours.wait(lambda: ours.zone(ZONE)["serial"] == 2, what="the change, which NOTIFY told")
        assert ours.axfr(ZONE) == feeder.axfr(ZONE)
        # Seen everywhere, and a fault nowhere.
        code, said = run(ours, "status", ZONE)
        assert code == 1 and "paused" in said and "queries get REFUSED until" in said
        ours.wait(lambda: ours.zone(ZONE)["pause"]["queries"] == 2 * ASKED, what="what was asked to be told")
        assert ours.zone(ZONE)["pause"]["control_queries"] > ASKED
        assert "The pause ends by itself in" in run(ours, "why", ZONE)[1]
        assert ours.page("/ready") == (200, f"ready; 1 zone paused by command: {ZONE}\n")
        metrics = ours.metrics()
        assert metrics[f'nameserver_zone_state{{zone="{ZONE}",state="paused"}}'] == 1
        ends = metrics[f'nameserver_zone_pause_ends_timestamp_seconds{{zone="{ZONE}"}}']
        assert 3500 < ends - time.time() <= 3600
        # Another answer, another time.
        code, said = run(ours, "pause", ZONE, "--answer", "servfail", "--for", "7d")
        assert code == 0 and "queries get SERVFAIL" in said and "which this replaces" in said
        assert answers(ours) == {("SERVFAIL", PAUSED)}
        # A worker that is replaced is silent from its first answer on.
        before = ours.workers_pids()
        os.kill(before[0], signal.SIGKILL)
        while set(ours.workers_pids()) & {before[0]} or ours.page("/ready")[0] != 200:
            assert {code for code, _ in answers(ours)} == {"SERVFAIL"}
        assert answers(ours) == {("SERVFAIL", PAUSED)}
        # One command.
        code, said = run(ours, "resume", ZONE)
        assert code == 0 and "answered again, after" in said and "queries came meanwhile" in said
        assert answers(ours) == answers(ours, tcp=True) == OPEN
        assert ours.serial(ZONE) == 2
        code, said = run(ours, "resume", ZONE)
        assert code == 0 and "it is not paused: nothing is done" in said
        for verb in ("pause", "resume"):
            code, said = run(ours, verb, "unknown.example")
            assert code == 2 and "no zone unknown.example is configured here" in said


def test_a_restart_keeps_it_a_reload_without_the_zone_drops_it_and_it_ends_by_itself() -> None:
    with Feeder() as ours:
        for zone in (ZONE, BESIDE):
            ours.feed(zone, zone_text(zone, 1))
        ours.start()
        ours.wait(lambda: ours.page("/ready")[0] == 200, what="the start to be complete")
        assert run(ours, "pause", ZONE, "--for", "1h")[0] == 0
        ours.kill_all()
        ours.start()
        assert answers(ours) == {("REFUSED", PAUSED)}
        ours.wait(lambda: ours.page("/ready")[0] == 200, what="the start to be complete")
        table = ours.tables[f'zone."{ZONE}"']
        ours.drop_zone(ZONE)
        ours.reread()
        assert not (ours.directory / "state" / FILE_NAME).exists()
        ours.zone_table(ZONE, **table)
        ours.reread()
        ours.wait(lambda: answers(ours) == OPEN, what="the zone, which is a new one")
        assert run(ours, "pause", ZONE, "--for", "1s")[0] == 0
        ours.wait(lambda: answers(ours) == OPEN, what="the end of the pause")
        ours.wait(lambda: "is paused no more (its time is up" in ours.log, what="the line that says so")
        assert ours.zone(ZONE)["state"] == "serving" and ours.zone(ZONE)["pause"] is None
        ours.stop()
