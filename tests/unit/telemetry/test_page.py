"""The status page: self-contained, safe against what peers write, and clear about trouble."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from support.statuses import HOSTILE, NOW, failing, paused, primary, server, snapshot, zone

from nameserver.telemetry.page import MAX_ROWS, render_page
from nameserver.telemetry.status import Snapshot, WorkerStatus

VOID = {"meta", "input", "br"}


class Structure(HTMLParser):
    """Checks that tags nest, and collects them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


def page(taken: Snapshot) -> str:
    return b"".join(render_page(taken)).decode()


def read(taken: Snapshot) -> Structure:
    structure = Structure()
    structure.feed(page(taken))
    structure.close()
    assert structure.open == []
    return structure


def test_a_zone_is_a_row_with_state_serial_and_ages() -> None:
    text = read(snapshot(zone())).text
    for part in ("example.com", "serving", "2026112101", "12s ago", "in 4m 10s", "in 7d", "primary-a", "1,234"):
        assert part in text
    assert "all zones answered" in text


def test_trouble_comes_first_and_says_what_it_means() -> None:
    text = read(snapshot(zone(name="a.example"), failing(name="z.example"))).text
    assert text.index("z.example") < text.index("a.example")
    assert "but not with the same secret" in text
    assert "1 zone in trouble" in text


def test_a_primary_zone_in_trouble_is_told_about_its_file() -> None:
    own = zone(type="primary", primaries=(), last_reason="serial-same", last_detail="own.zone: serial 7 is not above 7")
    text = read(snapshot(own)).text
    assert "Raise the serial in the file's SOA record, then: nameserver reload" in text
    assert "Nothing is wrong" not in text


def test_a_zone_that_is_not_answered_is_the_verdict() -> None:
    assert "1 zone not answered" in read(snapshot(zone(), failing(answering=False, state="expired"))).text


def test_a_paused_zone_is_no_fault_and_not_forgotten() -> None:
    text = read(snapshot(zone(), paused(), server=server(zones_by_state={"serving": 1, "paused": 1}))).text
    assert "1 zone paused by command" in text and "not answered" not in text
    assert "queries get REFUSED until 2026-11-21 02:26:40 UTC; 12 queries meanwhile" in text
    both = read(snapshot(paused(), failing(answering=False, state="expired"))).text
    assert "1 zone not answered" in both


def test_no_living_worker_is_the_verdict() -> None:
    status = server(workers=(WorkerStatus(index=0, restarts=3, zones_behind=1),))
    text = read(snapshot(zone(), server=status)).text
    assert "no worker answers queries" in text
    assert "3 restarts, 1 zone behind, heart-beat never" in text


def test_a_serial_that_differs_from_the_primarys_is_shown_with_it() -> None:
    assert "primary 2026112109" in read(snapshot(zone(primary_serial=2026112109))).text


def test_notices_and_a_failed_reload_are_shown() -> None:
    status = server(notices=("the store was damaged",), last_reload_ok=False, last_reload_message="line 7: no <b>")
    text = read(snapshot(server=status)).text
    assert "the store was damaged" in text
    assert "the last reload failed and changed nothing: line 7: no <b>" in text
    assert "No zones are configured." in text


def test_a_failed_reload_without_words_is_shown_too() -> None:
    assert "changed nothing" in read(snapshot(server=server(last_reload_ok=False, workers=()))).text


@pytest.mark.parametrize("field", ["name", "type", "state", "last_reason", "last_detail"])
def test_markup_in_a_zone_stays_text(field: str) -> None:
    hostile = zone(**{"last_reason": "refused", field: HOSTILE})
    source = page(snapshot(hostile))
    assert "<script>alert" not in source
    assert "\x1b" not in source
    assert "\x00" not in source
    assert [tag for tag, _ in read(snapshot(hostile)).seen].count("script") == 1


def test_markup_of_primaries_and_server_stays_text() -> None:
    hostile = zone(primaries=(primary(name=HOSTILE, address=HOSTILE, last_reason=HOSTILE, last_detail=HOSTILE),))
    status = server(config_path=HOSTILE, version=HOSTILE, listen=(HOSTILE,), event_loop=HOSTILE, notices=(HOSTILE,))
    assert "<script>alert" not in page(snapshot(hostile, server=status))


def test_nothing_is_loaded_from_elsewhere() -> None:
    for tag, attributes in read(snapshot(zone())).seen:
        assert tag not in ("link", "img", "iframe")
        assert not attributes.keys() & {"src", "href", "style", "onclick"}
    assert "http://" not in page(snapshot(zone()))
    assert "https://" not in page(snapshot(zone()))


def test_style_and_script_are_those_that_the_page_allows() -> None:
    source = page(snapshot(zone()))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', source)
    assert policy
    assert "default-src 'none'" in policy[1]
    for tag in ("style", "script"):
        inline = re.search(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        assert inline
        digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]


def test_the_page_stays_of_bounded_size() -> None:
    zones = [zone(name=f"zone{number}.example", last_transfer=None) for number in range(MAX_ROWS + 5)]
    structure = read(snapshot(*zones))
    assert [tag for tag, _ in structure.seen].count("tr") == MAX_ROWS + 1
    assert "and 5 more" in structure.text


def test_what_never_happened_is_a_dash() -> None:
    bare = zone(serial=None, last_change=None, next_refresh=None, expires=None, last_success=None, primaries=())
    assert read(snapshot(bare)).text.count("-") >= 5
    assert str(NOW) not in page(snapshot(bare))
