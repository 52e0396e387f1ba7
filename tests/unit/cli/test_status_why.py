"""`nameserver why`: every reason leads to a next step, and what happens next is said."""

import argparse
import json
from pathlib import Path

import pytest
from support.control_peer import ControlPeer
from support.statuses import HOSTILE, NOW, downstream, failing, paused, primary, server, zone

from nameserver.cli import why
from nameserver.cli.present import Palette
from nameserver.errors import Reason
from nameserver.telemetry.advice import ADVICE
from nameserver.telemetry.status import ZONE_STATES, ZoneStatus


def run(tmp_path: Path, each: ZoneStatus, *arguments: str) -> int:
    answer = {"ok": True, "server": server().to_json(), "zones": [each.to_json()]}
    parser = argparse.ArgumentParser()
    why.configure(parser)
    path = tmp_path / "c.sock"
    with ControlPeer(path, lambda request: answer) as peer:
        code = why.main(parser.parse_args([each.name, *arguments, "--control", str(path)]))
    assert [request["zone"] for request in peer.requests] == [each.name]
    return code


def text_of(each: ZoneStatus) -> str:
    return "\n".join(why.lines(each, NOW, Palette(False)))


def test_a_healthy_zone_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, zone()) == 0
    text = capsys.readouterr().out
    assert text.startswith("example.com: serving, serial 2026112101\n")
    assert "The next check starts in 4m 10s, or earlier on a NOTIFY." in text
    assert "expires" not in text


def test_a_failing_zone_is_exit_code_1_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, failing()) == 1
    text = capsys.readouterr().out
    assert text.count("this means") == 1
    assert "our fingerprint of it: 0a1b2c3d" in text
    assert "3 in a row" in text
    assert "Unless a primary is reached, the zone expires in 7d" in text
    assert "nameserver refresh failing.example" in text


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert ADVICE[reason].meaning.split("{")[0] in text_of(failing(reason))


@pytest.mark.parametrize("state", ZONE_STATES)
def test_every_state_is_explained(state: str) -> None:
    assert "does not know" not in why.meaning(zone(state=state))


def test_a_state_of_a_newer_server_is_no_crash() -> None:
    assert "does not know" in text_of(zone(state="from-the-future"))


def test_a_running_first_transfer_says_that_nothing_is_answered_yet() -> None:
    assert "Until it succeeds" in text_of(zone(state="refreshing", answering=False, serial=None))
    assert "The running check decides." in text_of(zone(state="refreshing"))


def test_a_zone_that_is_stored_no_more_is_said_to_be_and_what_comes_of_it(tmp_path: Path) -> None:
    each = zone(unstored=True)
    text = text_of(each)
    assert "answered from memory alone, until it expires or the server" in text
    assert "fetched again whole from the first primary that answers" in text
    assert run(tmp_path, each) == 1, "a finding, although it is answered and no check has failed yet"
    assert "from memory alone" not in text_of(zone(unstored=True, answering=False, state="expired"))


def test_an_expired_zone_says_how_it_comes_back() -> None:
    text = text_of(failing(state="expired", answering=False, expires=NOW - 1, next_refresh=NOW - 1))
    assert "starts at once" in text
    assert "the zone is live again" in text
    assert "Unless a primary" not in text


def test_a_zone_without_a_next_check_promises_none() -> None:
    assert "next check starts" not in text_of(zone(next_refresh=None))


def test_a_primary_zone_is_read_again_on_reload() -> None:
    text = text_of(zone(type="primary", state="not-loaded", answering=False, primaries=(), last_reason="no-soa"))
    assert "nameserver reload" in text
    assert "nameserver refresh" not in text
    assert text.count("this means") == 1


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        (Reason.MALFORMED, "Correct the zone file"),
        (Reason.SERIAL_SAME, "Raise the serial in the file's SOA"),
        (Reason.SERIAL_BACKWARDS, "Raise the serial in the file's SOA"),
    ],
)
def test_a_primary_zone_whose_file_is_at_fault_is_told_about_its_file(reason: Reason, step: str) -> None:
    detail = "/zones/own.zone:7: no such type"
    text = text_of(
        zone(type="primary", primaries=(), next_refresh=None, expires=None, last_reason=reason, last_detail=detail)
    )
    assert "the file as it is now was not taken" in text
    assert detail in text
    assert step in text
    assert "nameserver reload" in text
    for foreign in ("dig", "retransfer", "the primary", "Nothing is wrong"):
        assert foreign not in text


def test_a_healthy_primary_zone_has_nothing_confirmed_by_others() -> None:
    assert "as its file had it" in text_of(zone(type="primary", primaries=(), next_refresh=None, expires=None))


def test_a_serial_gone_backwards_is_taken_after_expiry_or_on_retransfer() -> None:
    each = failing(Reason.SERIAL_BACKWARDS, state="serial-backwards")
    sentences = why.what_next(each, NOW)
    assert any(each.startswith("Unless a primary confirms the zone, it expires in 7d") for each in sentences)
    assert any("at its lower serial too" in each for each in sentences)
    assert "To take the lower serial now: nameserver retransfer failing.example" in sentences


def test_a_failure_that_no_primary_accounts_for_is_explained_by_itself() -> None:
    text = text_of(failing(Reason.SERIAL_BACKWARDS, primaries=(primary(),), last_detail=""))
    assert "serial-backwards\n" in text
    assert "nameserver retransfer failing.example" in text


def test_json_has_the_zone_and_the_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, failing(), "--json") == 1
    data = json.loads(capsys.readouterr().out)
    assert data["zone"]["name"] == "failing.example"
    assert [(each["primary"], each["reason"]) for each in data["advice"]] == [("primary-a", "tsig-badsig")]
    assert data["meaning"]
    assert len(data["next"]) == 3


def test_nothing_of_a_peer_reaches_the_terminal_raw() -> None:
    hostile = failing(
        name=HOSTILE, primaries=(primary(name=HOSTILE, address=HOSTILE, last_reason="refused", last_detail=HOSTILE),)
    )
    assert text_of(hostile).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"notify_reason": "refused"}, "does not take NOTIFY from here"),
        ({"notify_reason": "connect-timeout"}, "No answer"),
        ({"notify_reason": "tsig-badkey"}, "could not be told"),
        ({"notified_serial": 2026112100}, "has not confirmed the NOTIFY of this version yet."),
        ({"notified_serial": None, "check_reason": "connect-timeout"}, "version yet and does not answer."),
        ({"notify_reason": None, "serial": None, "check_reason": "refused"}, "does not say what it has"),
        ({"notify_reason": None, "serial": 2026112100}, "has not taken the version"),
    ],
)
def test_a_server_below_that_is_behind_is_explained(changes: dict[str, object], sentence: str) -> None:
    assert sentence in text_of(zone(downstreams=(downstream(has_it=False, **changes),)))
    for well in (downstream(**changes), downstream(has_it=False, via="transfer", **changes)):
        assert "this means" not in text_of(zone(downstreams=(well,)))


def test_a_paused_zone_says_why_it_is_silent_who_asked_and_how_it_ends(tmp_path: Path) -> None:
    text = text_of(paused())
    assert text.startswith("paused.example: paused, serial 2026112101\nThe zone is silent by command")
    assert "Paused: queries get REFUSED until 2026-11-21 02:26:40 UTC (in 50m); 12 queries came meanwhile" in text
    assert "The pause ends by itself in 50m" in text and "nameserver resume paused.example" in text
    assert "The next check starts in 4m 10s" in text
    expired = text_of(paused(state="expired", expires=NOW - 1))
    assert "so queries get SERVFAIL. While it is paused, they get REFUSED." in expired
    assert "Unless a primary is reached, the zone expires" not in text
    failing_too = text_of(failing(state="paused", answering=False, pause=paused().pause))
    assert "Unless a primary is reached, the zone expires in 7d" in failing_too
    assert run(tmp_path, paused()) == 1
