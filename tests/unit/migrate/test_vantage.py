"""From where was asked, and sources that no answer comes back to."""

import pytest

from nameserver.config.model import Endpoint
from nameserver.migrate.asking.vantage import odd_sources, told, vantage
from nameserver.migrate.report import Level

PUBLIC, PRIVATE = Endpoint("198.41.0.4", 53), Endpoint("10.1.2.3", 53)
PUBLIC_6 = Endpoint("2001:503:ba3e::2:30", 53)


@pytest.mark.parametrize(
    ("source", "asked", "kind"),
    [
        ("10.0.0.7", PUBLIC, "a private"),
        ("192.168.1.7", PUBLIC, "a private"),
        ("127.0.0.1", PUBLIC, "a loopback"),
        ("169.254.1.1", PUBLIC, "a link-local"),
        ("fd00::7", PUBLIC_6, "a private"),
        ("::1", PUBLIC_6, "a loopback"),
    ],
)
def test_a_source_that_public_servers_cannot_answer_is_a_warning(source: str, asked: Endpoint, kind: str):
    [finding] = odd_sources([asked, PRIVATE], [source])
    assert (finding.level, finding.code) == (Level.WARNING, "source-private")
    assert finding.text.startswith(f"--source {source} is {kind} address, and {asked.host} public")


@pytest.mark.parametrize(
    ("source", "asked"),
    [("10.0.0.7", PRIVATE), ("8.8.4.4", PUBLIC), ("10.0.0.7", PUBLIC_6), ("127.0.0.1", Endpoint("127.0.5.3", 53))],
)
def test_other_sources_are_none(source: str, asked: Endpoint):
    assert odd_sources([asked], [source]) == []


def test_it_is_told_from_where_was_asked():
    assert told([Endpoint("127.0.5.3", 53)], []) == "Asked from 127.0.0.1."
    assert told([PUBLIC], ["9.9.9.7"]) == "Asked from 9.9.9.7."
    assert told([PUBLIC], ["10.0.0.7"]).startswith("Asked from 10.0.0.7, behind an address that is translated")
    assert told([], []) == ""
    assert vantage([PUBLIC, PRIVATE], ["9.9.9.7"]) == "9.9.9.7"
