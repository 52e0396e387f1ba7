"""`migrate dnssec` over zones that are really signed, under a parent that has, or has not, their DS."""

import json
from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from support.commands import nameserver
from support.internet import Internet, soa

pytestmark = pytest.mark.interop

ROOT, TLD, OLD, NEW = "127.0.5.1", "127.0.5.2", "127.0.5.3", "127.0.6.4"
ZONE = dns.name.from_text("shop.example.")
PLAIN = f"$TTL 300\n{soa('shop.example.', 5)}@ NS ns1\n@ NS ns2\nns1 A {OLD}\nns2 A {NEW}\nwww A 192.0.2.1\n"


class Signer:
    """A key-signing and a zone-signing key of one side."""

    def __init__(self) -> None:
        self.pairs = [
            (private, self._public(private, flags)) for private, flags in ((self._new(), 257), (self._new(), 256))
        ]

    @staticmethod
    def _new() -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @staticmethod
    def _public(private: ec.EllipticCurvePrivateKey, flags: int):
        return dns.dnssec.make_dnskey(private.public_key(), Algorithm.ECDSAP256SHA256, flags=flags)

    @property
    def ds(self) -> str:
        return f"shop 3600 DS {dns.dnssec.make_ds(ZONE, self.pairs[0][1], 'SHA256').to_text()}\n"

    def sign(self, others: tuple["Signer", ...] = (), days: float = 14, without: str = "") -> str:
        """The zone, signed; with the zone-signing keys of others published too.

        `without`: a type that it has no records of, or, as "NS's", whose records have no signatures.
        """
        zone = dns.zone.from_text(PLAIN, ZONE, relativize=False)
        with zone.writer() as writer:
            for other in others:
                writer.add(ZONE, 300, other.pairs[1][1])
            now = datetime.now(UTC)
            dns.dnssec.sign_zone(
                zone, writer, keys=self.pairs, inception=now - timedelta(days=30), expiration=now + timedelta(days=days)
            )
        for name, rdataset in list(zone.iterate_rdatasets()):
            kind, covered = (dns.rdatatype.to_text(each) for each in (rdataset.rdtype, rdataset.covers))
            if without and (kind == without or (kind == "RRSIG" and without.removesuffix("'s") == covered)):
                zone.delete_rdataset(name, rdataset.rdtype, rdataset.covers)
        return zone.to_text(relativize=False)


ONE, TWO = Signer(), Signer()


def run(old: str, new: str, ds: str, *words: str, named: str = "") -> tuple[int, dict]:
    """`named`: what stands for the new side, in place of its address; `both.example` has those of both."""
    top = f"@ NS a.root.\na.root. A {ROOT}\nexample. NS ns.example.\nns.example. A {TLD}\n"
    glue = f"ns1.shop A {OLD}\nns2.shop A {NEW}\n"
    tld = f"$TTL 3600\n{soa('example.')}@ NS ns\nns A {TLD}\nshop NS ns1.shop\nshop NS ns2.shop\n{glue}"
    servers = {
        ROOT: {".": f"$TTL 3600\n{soa('.')}{top}"},
        TLD: {"example.": f"{tld}{ds}both A {OLD}\nboth A {NEW}\n"},
        OLD: {"shop.example.": old},
        NEW: {"shop.example.": new},
    }
    with Internet(servers) as net:
        where = ["--old", f"{OLD}:{net.port}", "--new", f"{named or NEW}:{net.port}"]
        done = nameserver("migrate", "dnssec", "shop.example", *net.arguments, *where, *words, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def codes_of(report: dict, *levels: str) -> set[str]:
    return {each["code"] for each in report["findings"] if each["level"] in (levels or ("fault",))}


CASES = {
    "unsigned everywhere": (PLAIN, PLAIN, "", set()),
    "the same signed zone at both": ("one", "one", "one", set()),
    "no DS yet": ("one", "one", "", set()),
    "DS, and the new side unsigned": ("one", PLAIN, "one", {"ds-without-key"}),
    "DS of the old side's key, the new side has its own": ("one", "two", "one", {"ds-mismatch"}),
    "DS of a key that nobody has": (PLAIN, PLAIN, "two", {"ds-without-key"}),
    "signatures that have ended at the new side": ("one", "ended", "one", {"rrsig-expired", "dnskey-unsigned"}),
    "an NS set that nobody signed at the new side": ("one", "bare", "one", {"rrsig-invalid"}),
    "no proofs of absence at the new side": ("one", "unproven", "one", {"denial-missing"}),
    "proofs of absence that nobody signed": ("one", "loose", "one", {"rrsig-invalid"}),
    "two signers that share nothing, and a DS for each": ("one", "two", "both", set()),
}


@pytest.mark.parametrize("name", list(CASES))
def test_what_validators_would_make_of_each_side_is_told(name: str):
    old, new, ds, faults = CASES[name]
    zones = {"one": ONE.sign(), "two": TWO.sign(), "ended": ONE.sign(days=-1)}
    zones |= {
        "bare": ONE.sign(without="NS's"),
        "unproven": ONE.sign(without="NSEC"),
        "loose": ONE.sign(without="NSEC's"),
    }
    anchors = {"one": ONE.ds, "two": TWO.ds, "both": ONE.ds + TWO.ds}
    code, report = run(zones.get(old, old), zones.get(new, new), anchors.get(ds, ds))
    assert codes_of(report) == faults, report["findings"]
    assert code == (1 if faults else 0)


def test_every_address_of_a_side_is_looked_at():
    code, report = run(ONE.sign(), ONE.sign(days=-1), ONE.ds, named="both.example")
    assert code == 1, report
    assert "rrsig-expired" in codes_of(report)


def test_the_way_of_two_signers_is_complete_only_when_each_has_the_keys_of_both():
    code, report = run(ONE.sign(), TWO.sign(), ONE.ds, "--plan", "multi-signer")
    lacking = {step["step"] for step in report["facts"]["plan"] if not step["done"]}
    assert code == 1
    assert lacking == {
        "each side publishes the zone-signing keys of both",
        "the key sets of before have run out of all caches",
        "the parent has a DS for each side",
        "the DS set of before has run out of all caches",
    }
    long_ago = ["--keys-since", "2026-01-01T00:00:00Z", "--ds-since", "2026-01-01T00:00:00Z"]
    words = ["--plan", "multi-signer", *long_ago]
    code, report = run(ONE.sign((TWO,)), TWO.sign((ONE,)), ONE.ds + TWO.ds, *words)
    assert (code, codes_of(report, "good")) == (0, {"plan-ready"}), report


@pytest.mark.parametrize("lately", ["--keys-since", "--ds-since"])
def test_with_two_signers_what_is_cached_of_before_has_to_run_out(lately: str):
    times = {"--keys-since": "2026-01-01T00:00:00Z", "--ds-since": "2026-01-01T00:00:00Z"}
    times[lately] = datetime.now(UTC).isoformat()
    words = [word for pair in times.items() for word in pair]
    code, report = run(ONE.sign((TWO,)), TWO.sign((ONE,)), ONE.ds + TWO.ds, "--plan", "multi-signer", *words)
    lacking = [step for step in report["facts"]["plan"] if not step["done"]]
    assert (code, len(lacking)) == (1, 1), report
    assert lacking[0]["lacks"].startswith("not before ")
    unknown = [word for word in words if word != lately and word != times[lately]]
    code, report = run(ONE.sign((TWO,)), TWO.sign((ONE,)), ONE.ds + TWO.ds, "--plan", "multi-signer", *unknown)
    assert code == 1
    assert any("not known since when" in step["lacks"] for step in report["facts"]["plan"])


def test_the_way_without_dnssec_waits_for_the_ds_to_run_out():
    words = ["--plan", "unsign", "--ds-gone-since"]
    code, report = run(ONE.sign(), PLAIN, ONE.ds, *words, "2026-01-01T00:00:00Z")
    assert code == 1
    assert report["facts"]["plan"][0]["lacks"].startswith(f"{TLD}:")
    lately = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    code, report = run(PLAIN, PLAIN, "", *words, lately, "--ds-ttl", str(4 * 86400))
    assert code == 1
    assert "4d after it went" in report["facts"]["plan"][1]["lacks"]
    code, report = run(PLAIN, PLAIN, "", *words, "2026-01-01T00:00:00Z")
    assert (code, codes_of(report, "good")) == (0, {"plan-ready"})


def test_signatures_that_are_about_to_end_are_warned_of():
    code, report = run(ONE.sign(days=1), ONE.sign(days=1), ONE.ds)
    assert (code, codes_of(report, "warning")) == (0, {"rrsig-expiring"})
