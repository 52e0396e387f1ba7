"""`nameserver status`: what it shows, and its exit code."""

import argparse
import json
from pathlib import Path

import pytest
from support.control_peer import ControlPeer, Json
from support.statuses import HOSTILE, NOW, downstream, failing, paused, primary, server, transfer, zone

from nameserver.cli import status
from nameserver.cli.present import Palette
from nameserver.errors import Reason
from nameserver.telemetry.events import Kind, Outcome
from nameserver.telemetry.status import ServerStatus, WorkerStatus, ZoneStatus

PLAIN = Palette(False)


def run(tmp_path: Path, *arguments: str, zones: tuple[ZoneStatus, ...] = (), of: ServerStatus | None = None) -> int:
    """The command against a server with these zones."""

    def answer(request: Json) -> Json:
        assert request["verb"] == "status"
        wanted = [each for each in zones if request["zone"] in (None, each.name)]
        if not wanted and request["zone"]:
            return {"ok": False, "error": f"no zone {request['zone']}"}
        return {"ok": True, "server": (of or server()).to_json(), "zones": [each.to_json() for each in wanted]}

    parser = argparse.ArgumentParser()
    status.configure(parser)
    path = tmp_path / "c.sock"
    with ControlPeer(path, answer):
        return status.main(parser.parse_args([*arguments, "--control", str(path)]))


def text_of(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_all_zones_stand_in_a_table_below_the_servers_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, zones=(zone(name="z.example"), failing(name="a.example"))) == 0
    text = text_of(capsys)
    head, rows = text.split("\nZONE")
    assert "nameserver 0.1.0, process 99" in head
    assert "2 of 2 answering" in head
    assert "1 serving" in head
    lines = rows.splitlines()
    assert " ".join(lines[1].split()) == (
        "a.example retrying 2026112101 1h ago 2h ago in 4m 10s in 7d primary-a tsig-badsig"
    )
    assert lines[2].startswith("z.example")


def test_what_a_reload_could_not_do_stands_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, of=server(last_reload_ok=False, last_reload_message="1 zone added\nzone a.example: no file"))
    assert "failed: 1 zone added; zone a.example: no file\n" in text_of(capsys)


def test_a_zone_that_is_not_answered_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = zone(name="gone.example", state="expired", answering=False, expires=NOW - 5)
    assert run(tmp_path, zones=(zone(), gone)) == 1
    assert "5.0s ago" in text_of(capsys)


def test_one_zone_is_shown_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "example.com", zones=(zone(),)) == 0
    text = text_of(capsys)
    for part in (
        "by 2 of 2 workers",
        "42 records, 2.0 KiB, generation 3",
        "in 4m 10s (2026-11-21 01:40:50 UTC)",
        "1m ago from primary-a: ok, ixfr, serial 2026112100 to 2026112101, 5 records, 412 B in 21 ms",
        "192.0.2.1:53",
        "transfer-key (fingerprint 0a1b2c3d)",
    ):
        assert part in text


def test_an_unknown_zone_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "nowhere.example", zones=(zone(),)) == 2
    assert capsys.readouterr().err == "no zone nowhere.example\n"


def test_json_is_what_the_server_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--json", zones=(zone(),)) == 0
    data = json.loads(text_of(capsys))
    assert ServerStatus.from_json(data["server"]) == server()
    assert [ZoneStatus.from_json(each) for each in data["zones"]] == [zone()]


def test_only_problems_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--problems", "--json", zones=(zone(), failing())) == 0
    assert [each["name"] for each in json.loads(text_of(capsys))["zones"]] == ["failing.example"]
    (tmp_path / "c.sock").unlink()
    assert run(tmp_path, "--problems", zones=(zone(),)) == 0
    assert "no zones to show" in text_of(capsys)


def test_nothing_of_a_peer_reaches_the_terminal_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = failing(
        name=HOSTILE,
        state=HOSTILE,
        last_detail=HOSTILE,
        primaries=(
            primary(
                name=HOSTILE,
                address=HOSTILE,
                key=HOSTILE,
                preferred_key=HOSTILE,
                preferred_key_reason=HOSTILE,
                last_reason=HOSTILE,
                last_detail=HOSTILE,
            ),
        ),
        last_transfer=transfer(primary=HOSTILE),
    )
    of = server(notices=(HOSTILE,), config_path=HOSTILE, last_reload_ok=False, last_reload_message=HOSTILE)
    run(tmp_path, zones=(hostile,), of=of)
    (tmp_path / "c.sock").unlink()
    run(tmp_path, HOSTILE, zones=(hostile,), of=of)
    text = text_of(capsys)
    assert text.replace("\n", "").isprintable()
    assert "\nfake line" not in text


def test_a_serial_behind_its_primary_shows_both() -> None:
    behind = zone(primary_serial=2026112109)
    assert "2026112101 (primary 2026112109)" in "\n".join(status.zones_lines([behind], NOW, PLAIN))
    assert "2026112101, the primary has 2026112109" in "\n".join(status.zone_lines(behind, server(), PLAIN))


def test_a_zone_that_has_nothing_yet_is_shown_without_gaps() -> None:
    empty = ZoneStatus(name="new.example", primaries=(primary(key=None, last_attempt=None, last_success=None),))
    row = status.zones_lines([empty], NOW, PLAIN)[1]
    assert row.split() == ["new.example", "never-transferred", "-", "-", "-", "-", "-", "primary-a"]
    text = "\n".join(status.zone_lines(empty, server(), PLAIN))
    assert "answered  no" in text
    assert "last try      never" in text
    assert "None" not in text


def test_a_failure_is_told_with_its_detail_and_count() -> None:
    text = "\n".join(status.zone_lines(failing(), server(), PLAIN))
    assert "tsig-badsig: primary says so (3 failures in a row)" in text
    assert "result        tsig-badsig: primary says so" in text
    bare = failing(last_detail="", failures=0, primaries=(primary(last_reason=Reason.REFUSED, key_fingerprint=None),))
    text = "\n".join(status.zone_lines(bare, server(), PLAIN))
    assert "problem        tsig-badsig\n" in text
    assert "result        refused" in text


def test_a_preferred_key_that_is_not_the_one_in_use_is_told_with_the_reason() -> None:
    """F17."""
    other = primary(key="old-key", preferred_key="new-key", preferred_key_reason="tsig-badkey")
    text = "\n".join(status.primary_lines(other, NOW, PLAIN))
    assert "key           old-key (fingerprint 0a1b2c3d)" in text
    assert "preferred     new-key, not accepted there (tsig-badkey)" in text
    assert "preferred" not in "\n".join(status.primary_lines(primary(), NOW, PLAIN))


@pytest.mark.parametrize(("skew", "text"), [(-31.0, "31 s behind this"), (90.0, "90 s ahead of this")])
def test_a_primarys_clock_is_told_when_it_is_off(skew: float, text: str) -> None:
    assert text in "\n".join(status.primary_lines(primary(skew=skew), NOW, PLAIN))
    assert "clock" not in "\n".join(status.primary_lines(primary(skew=0.3), NOW, PLAIN))


def test_a_failed_transfer_reads_as_a_sentence() -> None:
    event = transfer(outcome=Outcome.FAILED, reason=Reason.CLOSED_EARLY, got=Kind.AXFR, serial_old=None)
    assert status.transfer_text(event, NOW) == (
        "1m ago from primary-a: failed (closed-early), ixfr asked, axfr came, serial 2026112101, "
        "5 records, 412 B in 21 ms"
    )
    assert ", serial" not in status.transfer_text(transfer(serial_new=None), NOW)
    nothing = transfer(
        outcome=Outcome.FAILED, reason=Reason.CONNECT_REFUSED, got=Kind.NONE, messages=0, records=0, serial_new=None
    )
    assert status.transfer_text(nothing, NOW) == (
        "1m ago from primary-a: failed (connect-refused), ixfr asked, nothing came"
    )


def test_workers_that_are_down_and_restarts_are_shown() -> None:
    of = server(workers=(WorkerStatus(index=0, alive=True, restarts=2), WorkerStatus(index=1)), zones_by_state={})
    text = "\n".join(status.server_lines(of, PLAIN))
    assert "1 of 2 answering, 2 restarts" in text
    assert "zones          none" in text


def test_primary_zones_show_their_type() -> None:
    lines = status.zones_lines([zone(type="primary", primaries=()), zone(name="b")], NOW, PLAIN)
    assert "TYPE" in lines[0]
    assert " primary " in lines[2]


def test_the_table_tells_how_many_of_those_below_have_the_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edges = (downstream(), downstream(name="edge-2", has_it=False), downstream(via="transfer", has_it=False))
    run(tmp_path, zones=(zone(downstreams=edges), zone(name="alone.example")))
    lines = text_of(capsys).splitlines()
    assert any("DOWNSTREAM" in line for line in lines)
    assert any("example.com" in line and "1 of 2 current" in line for line in lines)
    (tmp_path / "c.sock").unlink()
    run(tmp_path, zones=(zone(name="alone.example"),))
    assert "DOWNSTREAM" not in text_of(capsys), "where nobody is told there is no such column"


def test_a_zone_in_full_shows_each_of_those_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edges = (
        downstream(),
        downstream(
            name=HOSTILE, via="ns", has_it=False, serial=2026112100, behind_since=NOW - 60, notify_reason="refused",
            notify_detail=HOSTILE, check_reason="connect-timeout", check_detail=HOSTILE, next_check=NOW + 30,
        ),
        downstream(name="192.0.2.9", via="transfer", key=None, answers=False, notified_at=None, lag=None),
    )  # fmt: skip
    run(tmp_path, "example.com", zones=(zone(downstreams=edges),))
    text = text_of(capsys)
    assert "serial      2026112101, which it answers, 59m 58s ago" in text
    assert "took        250 ms" in text
    assert "confirmed at try 1" in text
    assert "behind      since 1m ago" in text and "given up, refused" in text and "next check  in 30s" in text
    assert "(named by the zone's NS records)" in text and "(fetches the zone, and is not told)" in text
    assert "which it fetched" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("started", "since"),
    [
        (NOW - 86_400, "since 10m ago (2026-11-21 01:26:40 UTC)\n"),
        (NOW - 60, "since 1m ago (2026-11-21 01:35:40 UTC), when the server was started"),
    ],
)
def test_a_paused_zone_shows_until_when_and_who_asked_and_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: float, since: str
) -> None:
    assert run(tmp_path, "paused.example", zones=(paused(),), of=server(started=started)) == 1
    text = text_of(capsys)
    assert "queries get REFUSED until 2026-11-21 02:26:40 UTC (in 50m)" in text
    assert f"12 queries and 3 of peers {since}" in text


def test_a_paused_zone_is_among_the_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--problems", zones=(zone(), paused())) == 1
    text = text_of(capsys)
    assert "paused.example" in text and "example.com" not in text
