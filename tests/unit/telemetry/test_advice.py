"""Every failure reason is explained, in sentences that read whole."""

import pytest

from nameserver.errors import Reason
from nameserver.telemetry.advice import ADVICE, FILE_ADVICE, UNKNOWN, advise, describe_skew


def test_every_reason_has_advice_and_nothing_else_has() -> None:
    assert set(ADVICE) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_advice_is_two_whole_sentences_however_little_is_known(reason: Reason) -> None:
    for known in (
        {},
        {"zone": "example.com", "address": "[2001:db8::1]:5353", "key": "k", "fingerprint": "0a", "skew": 9},
    ):
        for sentence in (*advise(reason, **known), *advise(reason, zone_type="primary", **known)):
            assert sentence[0].isupper()
            assert "{" not in sentence
            assert "None" not in sentence
            assert len(sentence) < 260


@pytest.mark.parametrize("reason", list(FILE_ADVICE))
def test_advice_on_a_zone_file_leads_to_a_reload_and_to_no_other_machine(reason: Reason) -> None:
    advice = advise(reason, zone="example.com", zone_type="primary")
    assert advice.next_step.endswith("nameserver reload")
    assert "the primary" not in " ".join(advice)
    assert "dig" not in advice.next_step


def test_the_address_is_taken_apart_for_the_command_to_try() -> None:
    step = advise("connect-refused", zone="example.com", address="[2001:db8::1]:5353").next_step
    assert step.endswith("dig +tcp SOA example.com @2001:db8::1 -p 5353")


def test_key_and_clock_are_named_where_they_matter() -> None:
    assert '"transfer-key"' in advise("tsig-badkey", key="transfer-key").meaning
    assert "0a1b2c3d" in advise("tsig-badsig", fingerprint="0a1b2c3d").next_step
    assert "400 s behind us" in advise("tsig-badtime", skew=-400.2).meaning
    assert 'with the key "k"' in advise("refused", key="k").next_step


def test_a_reason_of_a_newer_server_is_not_an_error() -> None:
    assert advise("from-the-future") == UNKNOWN


def test_braces_in_names_are_just_text() -> None:
    assert "{key}" in advise("serial-backwards", zone="{key}.example").next_step


def test_a_clock_difference_has_a_direction() -> None:
    assert (describe_skew(30), describe_skew(-30)) == ("30 s ahead of us", "30 s behind us")
