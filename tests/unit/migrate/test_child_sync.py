"""What CSYNC, CDS and CDNSKEY ask of the parent, and whether it has done it."""

from base64 import b64encode

import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from dns.rdatatype import CDS, DNSKEY

from nameserver.config.model import Endpoint
from nameserver.migrate.checks.child_sync import Csync, csync_of, judge_cds, judge_csync
from nameserver.migrate.checks.signed_sides import Side, valid
from nameserver.migrate.report import Level, Report

ZONE = dns.name.from_text("shop.example.")
OLD, NEW = frozenset({"old.example"}), frozenset({"new.example"})
NOW = 1_800_000_000.0


def csync(text: str, *, signed: bool = True, serial: int | None = 10) -> Csync:
    return csync_of(dns.rdata.from_text("IN", "CSYNC", text), signed, serial)


def told(seen: list[Csync | None], parent: frozenset[str] = OLD, own: frozenset[str] = NEW) -> dict[str, Level]:
    report = Report("delegation", "shop.example")
    judge_csync(report, [(f"ns{number}", each) for number, each in enumerate(seen)], [parent], own)
    assert report.exit_code == 0
    return {finding.code: finding.level for finding in report.findings}


def test_a_zone_without_csync_asks_nothing():
    assert told([None, None]) == {}


def test_rfc7477_2_1_what_a_parent_may_act_on_and_has_not_done_is_pending():
    assert told([csync("10 3 NS A AAAA")]) == {"csync": Level.NOTE, "csync-pending": Level.WARNING}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (csync("10 2 NS"), "immediate"),
        (csync("11 3 NS"), "below 11"),
        (csync("10 3 NS TXT"), "TXT"),
        (csync("10 7 NS"), "flags"),
        (csync("10 3 NS", signed=False), "not signed"),
    ],
)
def test_rfc7477_2_1_1_what_keeps_a_parent_from_acting_is_told(record: Csync, why: str):
    assert any(why in each for each in record.obstacles), record.obstacles
    assert "csync-held" in told([record])


def test_rfc7477_2_1_1_1_the_serial_counts_by_rfc_1982_and_only_with_its_flag():
    assert csync("4294967290 3 NS", serial=5).obstacles == []
    assert csync("11 1 NS").obstacles == []


def test_a_parent_that_has_done_it_will_do_it_again_in_the_middle_of_a_move():
    assert told([csync("10 3 NS")], OLD, OLD)["csync-followed"] is Level.WARNING
    assert told([csync("10 2 NS")], OLD, OLD)["csync-followed"] is Level.NOTE
    assert told([csync("10 3 A AAAA")], OLD, NEW)["csync-followed"] is Level.WARNING


def test_rfc7477_3_1_servers_that_differ_are_named():
    assert "csync-differs" in told([csync("10 3 NS"), None])


class Signer:
    """A key that signs keys, with what is made of it."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.key = dns.dnssec.make_dnskey(self.private.public_key(), Algorithm.ECDSAP256SHA256, flags=257)
        self.ds = dns.dnssec.make_ds(ZONE, self.key, "SHA256").to_text()

    def side(self, name: str, cds: list[str], cdnskey: list[str] = (), by: "Signer | None" = None) -> Side:  # type: ignore[assignment]
        side = Side(name, Endpoint("192.0.2.1", 53), dns.rrset.from_rdata(ZONE, 60, self.key))
        if cds:
            side.cds = dns.rrset.from_text(ZONE, 60, "IN", "CDS", *cds)
            signer = by or self
            made = dns.dnssec.sign(side.cds, signer.private, ZONE, signer.key, NOW - 60, NOW + 60)
            side.signatures = {CDS: [made], DNSKEY: []}
        if cdnskey:
            side.cdnskey = dns.rrset.from_text(ZONE, 60, "IN", "CDNSKEY", *cdnskey)
        return side


ONE, TWO = Signer(), Signer()


def cds(*sides: Side, ds: tuple[str, ...] = (ONE.ds,)) -> set[str]:
    report = Report("dnssec", "shop.example")
    judge_cds(report, ZONE, sides, frozenset(ds), NOW)
    assert report.exit_code == 0
    return {finding.code for finding in report.findings}


def test_rfc7344_4_a_parent_whose_ds_set_is_what_cds_says_has_followed():
    assert cds(ONE.side("old", [ONE.ds])) == {"cds-followed"}
    assert cds(ONE.side("old", [ONE.ds, TWO.ds])) == {"cds-not-followed"}
    assert cds(ONE.side("old", [ONE.ds]), ds=(ONE.ds, TWO.ds)) == {"cds-not-followed"}


def test_rfc7344_4_1_cds_that_no_key_of_the_present_ds_has_signed_is_not_to_be_believed():
    assert "cds-untrusted" in cds(ONE.side("old", [ONE.ds], by=TWO))


def test_rfc7344_4_cdnskey_alone_says_as_much_and_beside_cds_the_same():
    assert "cds-followed" in cds(ONE.side("old", [], [ONE.key.to_text()]))
    assert "cds-not-followed" in cds(ONE.side("old", [], [TWO.key.to_text()]))
    assert "cds-cdnskey-differ" in cds(ONE.side("old", [ONE.ds], [TWO.key.to_text()]))


def test_rfc8078_4_a_request_to_take_the_ds_away_is_told_until_it_is_gone():
    assert cds(ONE.side("old", ["0 0 0 00"])) == {"cds-delete"}
    assert cds(ONE.side("old", ["0 0 0 00"]), ds=()) == {"cds-followed"}


def test_rfc8901_cds_that_leaves_out_the_other_side_would_break_it():
    assert "cds-breaks" in cds(ONE.side("old", [ONE.ds]), TWO.side("new", []), ds=(ONE.ds, TWO.ds))
    assert "cds-breaks" not in cds(ONE.side("old", [ONE.ds, TWO.ds]), TWO.side("new", []), ds=(ONE.ds, TWO.ds))


def test_a_cds_that_no_ds_can_be_is_no_end_of_the_command():
    assert "cds-not-followed" in cds(ONE.side("old", ["7 13 0 00"]))


def test_many_keys_of_one_tag_with_many_signatures_are_tried_as_often_as_a_validator_would():
    rows = [bytes([number % 16, 7]) for number in range(16)]
    keys = [
        dns.rdata.from_text("IN", "DNSKEY", f"257 3 15 {b64encode(b''.join(rows[turn:] + rows[:turn])).decode()}")
        for turn in range(16)
    ]
    tags = {dns.dnssec.key_id(each) for each in keys}
    assert len(tags) == 1
    line = f"CDS 15 2 60 20300101000000 20200101000000 {tags.pop()} shop.example. "
    made = [dns.rdata.from_text("IN", "RRSIG", line + b64encode(bytes([number] * 64)).decode()) for number in range(90)]
    rrset = dns.rrset.from_text(ZONE, 60, "IN", "CDS", ONE.ds)
    assert "no validator tries more" in valid(rrset, made, keys, ZONE, NOW)  # type: ignore[arg-type]
    assert valid(rrset, made[:1], keys, ZONE, NOW)  # type: ignore[arg-type]
    assert "no key there" in valid(rrset, made[:1], [ONE.key], ZONE, NOW)  # type: ignore[arg-type, list-item]
