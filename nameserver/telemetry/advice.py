"""For every failure reason: what it means in one sentence, and what to do next in one.

A closed table (a test holds it against `Reason`).
Words in braces are filled from what is known of the zone and the primary.
"""

from typing import NamedTuple

from nameserver.errors import Reason


class Advice(NamedTuple):
    """Two sentences for an operator who sees the reason for the first time."""

    meaning: str
    next_step: str


ADVICE: dict[Reason, Advice] = {
    Reason.CONNECT_REFUSED: Advice(
        "The primary's machine is up, but nothing listens on TCP at {address}.",
        "Check that the primary runs and listens there: dig +tcp SOA {zone} @{host} -p {port}",
    ),
    Reason.CONNECT_TIMEOUT: Advice(
        "No answer to the TCP connection to {address}: packets are dropped on the way.",
        "If dig without +tcp answers, a firewall lets UDP through and TCP not: open TCP port {port}. "
        "Else check the address.",
    ),
    Reason.UNREACHABLE: Advice(
        "The network has no way to {address}, or the primary did not answer over UDP and TCP.",
        "Check route and address from this machine: ping {host}; ip route get {host}. "
        "An IPv6 address needs IPv6 here too.",
    ),
    Reason.TLS_HANDSHAKE: Advice(
        'There is no TLS 1.3 connection with {address}: no TLS, no ALPN "dot", or our certificate is not accepted.',
        "Look at what it says: openssl s_client -connect {address} -alpn dot -tls1_3. Where it is our certificate, "
        "its authority must be known there; nothing was tried in plain.",
    ),
    Reason.TLS_PEER_IDENTITY: Advice(
        "The certificate at {address} is not the one expected, or has expired; nothing was asked.",
        "Compare name, authority, pin and dates with the remote's [tls.NAME]: openssl s_client -connect {address} "
        "-alpn dot -showcerts. It may have been renewed; if not, somebody else answers there.",
    ),
    Reason.IDLE_TIMEOUT: Advice(
        "The primary stopped sending in the middle of the transfer.",
        "Look at the primary's load and log at that time; if it is just slow, raise idle-timeout for this zone.",
    ),
    Reason.TOTAL_TIMEOUT: Advice(
        "The transfer took longer than total-timeout allows.",
        "Prefer IXFR at the primary, or raise total-timeout for this zone.",
    ),
    Reason.TOO_SLOW: Advice(
        "The transfer ran slower than the minimum rate.",
        "Check the line to the primary and its load, or lower min-rate-bytes for this zone.",
    ),
    Reason.CLOSED_EARLY: Advice(
        "The primary hung up before the transfer was complete.",
        "Look into the primary's log for this zone: it may limit transfers at once, or refuse this one silently.",
    ),
    Reason.SHORT_MESSAGE: Advice(
        "A message was shorter than its own length says.",
        "Look for a proxy or a load balancer between us and {address}; "
        "if there is none, report it to the primary's makers.",
    ),
    Reason.MALFORMED: Advice(
        "A message from the primary breaks the rules of the format; the detail says where.",
        "Compare with another client: dig +tcp AXFR {zone} @{host} -p {port}. If that fails too, update the primary.",
    ),
    Reason.REFUSED: Advice(
        "The primary's access list does not let us have this zone.",
        "Allow this server's address{with_key} there (BIND: allow-transfer; NSD: provide-xfr; Knot: acl; "
        "PowerDNS: allow-axfr-ips, TSIG-ALLOW-AXFR).",
    ),
    Reason.NOTAUTH_ZONE: Advice(
        "The primary says NOTAUTH without naming a TSIG error: it does not have this zone, or does not accept our key.",
        "Check that the primary has loaded the zone and lets our key transfer it. Knot answers so without a key, "
        "PowerDNS to a wrong key, secret or clock.",
    ),
    Reason.NOT_AUTHORITATIVE: Advice(
        "The primary answered without authority: it is a resolver, or its own copy has expired.",
        "Check that {address} is the authoritative server and not a resolver in front of it.",
    ),
    Reason.NXDOMAIN: Advice(
        "The primary says that this name does not exist: it does not have the zone.",
        "Check the zone's name on both sides; if the zone has moved, change its primaries here.",
    ),
    Reason.SERVFAIL: Advice(
        "The primary has the zone configured but cannot serve it: its own copy failed to load or has expired.",
        "Look into the primary's log for {zone}; nothing can be done on this side.",
    ),
    Reason.FORMERR: Advice(
        "The primary did not understand the request.",
        "Try with request-ixfr = false for this remote; an old primary or a proxy may not know IXFR or EDNS.",
    ),
    Reason.NOTIMP: Advice(
        "The primary does not implement this kind of request.",
        "Try with request-ixfr = false for this remote.",
    ),
    Reason.TSIG_BADKEY: Advice(
        "The primary does not know the key {key}.",
        "The key's name and algorithm must be the same on both sides: "
        "compare them, and allow the key for this zone there.",
    ),
    Reason.TSIG_BADSIG: Advice(
        "The signature does not verify: both sides know the key {key}, but not with the same secret.",
        "Copy the secret again from one side to the other (our fingerprint of it: {fingerprint}) "
        "and compare the algorithm.",
    ),
    Reason.TSIG_BADTIME: Advice(
        "The clocks are too far apart for signatures{with_skew}.",
        "Set both clocks by NTP: timedatectl here and there.",
    ),
    Reason.TSIG_BADTRUNC: Advice(
        "The signature was cut shorter than is accepted.",
        "Configure the primary to send signatures of full length.",
    ),
    Reason.TSIG_BADALG: Advice(
        "The two sides use different algorithms with the key {key}.",
        "Give the key the same algorithm on both sides; hmac-sha256 is known everywhere.",
    ),
    Reason.TSIG_MISSING: Advice(
        "Our request was signed, the reply was not.",
        "Look for a proxy that strips TSIG, and check that the primary has the key {key} for this zone.",
    ),
    Reason.TSIG_GAP: Advice(
        "More than 99 messages of the transfer came without a signature (RFC 8945 section 5.3.1).",
        "Update the primary: its signing of long transfers is broken.",
    ),
    Reason.SERIAL_SAME: Advice(
        "The primary has the serial that is held here.",
        "Nothing is wrong. If content changed there, raise the serial at the primary.",
    ),
    Reason.SERIAL_BACKWARDS: Advice(
        "The primary's serial is lower than ours: it was restored from a backup or its serial scheme changed.",
        "Raise the serial at the primary above ours; or, if its content is the right one, "
        "take it with: nameserver retransfer {zone}",
    ),
    Reason.SERIAL_UNDEFINED: Advice(
        "The two serials are exactly 2^31 apart, so neither is newer (RFC 1982).",
        "Raise the primary's serial by one; or take its version with: nameserver retransfer {zone}",
    ),
    Reason.IXFR_HISTORY_GAP: Advice(
        "The primary's changes do not start at, or do not lead on from, our serial.",
        "A full transfer follows by itself. If it happens often, keep a longer history at the primary.",
    ),
    Reason.IXFR_MISMATCH: Advice(
        "The primary's changes do not fit the version that is held here.",
        "A full transfer follows by itself. If it happens often, set request-ixfr = false and update the primary.",
    ),
    Reason.IXFR_TOO_BIG: Advice(
        "The changes would have been larger than the zone.",
        "A full transfer follows by itself.",
    ),
    Reason.LIMIT_RECORDS: Advice(
        "The zone has more records than its limit allows.",
        "If the zone is meant to be that large, raise max-zone-records for it.",
    ),
    Reason.LIMIT_BYTES: Advice(
        "The transfer brought more bytes than the zone's limit allows.",
        "If the zone is meant to be that large, raise max-zone-size for it.",
    ),
    Reason.LIMIT_RRSET: Advice(
        "One owner has more records of one type than the limit allows.",
        "The detail names it. If it is meant, raise max-rrset-records for this zone.",
    ),
    Reason.LIMIT_TYPES: Advice(
        "One owner has more record types than the limit allows.",
        "The detail names it. If it is meant, raise max-types-per-name for this zone.",
    ),
    Reason.NO_SOA: Advice(
        "The primary's answer has no SOA record of this zone where one must stand.",
        "Check the zone at the primary: dig SOA {zone} @{host} -p {port}",
    ),
    Reason.NO_NS: Advice(
        "The zone has no NS record at its apex.",
        "Add the zone's NS records at the primary.",
    ),
    Reason.SOA_IN_MIDDLE: Advice(
        "An SOA record stands where only other records may: the transfer is not to be trusted.",
        "Try again; the zone may have changed during the transfer. If it stays, update the primary.",
    ),
    Reason.OUT_OF_ZONE: Advice(
        "The transfer brought records that do not belong to the zone.",
        "Remove the records that the detail names at the primary.",
    ),
    Reason.WRONG_CLASS: Advice(
        "The transfer brought records of a class other than IN.",
        "Remove them at the primary.",
    ),
    Reason.CNAME_CONFLICT: Advice(
        "A name has a CNAME and other records, or two CNAMEs (RFC 1034 section 3.6.2).",
        "Correct the name in the detail at the primary.",
    ),
    Reason.QUOTA: Advice(
        "This server had no room for the transfer: too many ran at once, or it was short of memory or of open files.",
        "See the detail. If it lasts, raise transfers-in or transfers-per-primary under [server]; where memory ran "
        "out, give the server more, or let zones have less with max-zone-size.",
    ),
    Reason.STORE_FAILED: Advice(
        "The new version cannot be written to the state directory; the one before it goes on being served.",
        "See the detail: it names the device and what is wrong with it (no space, read-only, an error of the disk). "
        "Once that is mended, the next retry takes the version: no restart is needed.",
    ),
    Reason.SHUTTING_DOWN: Advice(
        "The server was stopped meanwhile.",
        "Nothing is wrong: it goes on after the start.",
    ),
    Reason.SUPERSEDED: Advice(
        "Something newer took its place.",
        "Nothing is wrong.",
    ),
}

_CORRECT_FILE = "Correct the zone file where the detail says, then: nameserver reload"

# Of a zone of type "primary", which comes from a file here: nobody else is asked, and `reload` is what takes a change.
# What is not listed means the same for both types.
FILE_ADVICE: dict[Reason, Advice] = {
    Reason.MALFORMED: Advice(
        "The zone file is missing, cannot be read or breaks the format; the detail names the file and the line.",
        _CORRECT_FILE,
    ),
    Reason.SERIAL_SAME: Advice(
        "The zone file has changed but its serial has not, so the change is not taken: secondaries would miss it.",
        "Raise the serial in the file's SOA record, then: nameserver reload",
    ),
    Reason.SERIAL_BACKWARDS: Advice(
        "The serial in the zone file is lower than the one that is served, so the file is not taken.",
        "Raise the serial in the file's SOA record above the one that is served, then: nameserver reload",
    ),
    Reason.SERIAL_UNDEFINED: Advice(
        "The serial in the zone file and the one that is served are exactly 2^31 apart: neither is newer (RFC 1982).",
        "Raise the serial in the file's SOA record by one, then: nameserver reload",
    ),
    Reason.LIMIT_RECORDS: Advice(
        "The zone file has more records than the zone's limit allows.",
        "If the zone is meant to be that large, raise max-zone-records for it, then: nameserver reload",
    ),
    Reason.LIMIT_BYTES: Advice(
        "The zone file is larger than the zone's limit allows.",
        "If the zone is meant to be that large, raise max-zone-size for it, then: nameserver reload",
    ),
    Reason.LIMIT_RRSET: Advice(
        "One owner in the zone file has more records of one type than the limit allows.",
        "The detail names it. If it is meant, raise max-rrset-records for this zone, then: nameserver reload",
    ),
    Reason.LIMIT_TYPES: Advice(
        "One owner in the zone file has more record types than the limit allows.",
        "The detail names it. If it is meant, raise max-types-per-name for this zone, then: nameserver reload",
    ),
    Reason.NO_SOA: Advice("The zone file has no SOA record at the zone's apex.", _CORRECT_FILE),
    Reason.NO_NS: Advice("The zone file has no NS record at the zone's apex.", _CORRECT_FILE),
    Reason.SOA_IN_MIDDLE: Advice("The zone file has an SOA record below the apex, or two of them.", _CORRECT_FILE),
    Reason.OUT_OF_ZONE: Advice("The zone file has records that do not belong to the zone.", _CORRECT_FILE),
    Reason.WRONG_CLASS: Advice("The zone file has records of a class other than IN.", _CORRECT_FILE),
    Reason.CNAME_CONFLICT: Advice(
        "In the zone file, a name has a CNAME and other records, or two CNAMEs (RFC 1034 section 3.6.2).",
        _CORRECT_FILE,
    ),
}

UNKNOWN = Advice("The server gives a reason that this command does not know.", "Use the command of the same version.")


def advise(
    reason: str,
    *,
    zone: str = "",
    zone_type: str = "secondary",
    address: str = "",
    key: str | None = None,
    fingerprint: str | None = None,
    skew: float | None = None,
) -> Advice:
    """The advice on a reason with what is known filled in. `address` is "HOST:PORT" or "[HOST]:PORT".

    `zone_type` is "secondary" or "primary": of the latter, what its file says is at fault, and no other machine.
    A reason outside the vocabulary (a newer server) gives `UNKNOWN`.
    """
    try:
        known = Reason(reason)
    except ValueError:
        return UNKNOWN
    advice = ADVICE[known]
    if zone_type == "primary":
        advice = FILE_ADVICE.get(known, advice)
    host, _, port = address.rpartition(":")
    filled = {
        "zone": zone or "ZONE",
        "address": address or "the primary",
        "host": host.strip("[]") or "PRIMARY",
        "port": port or "53",
        "key": f'"{key}"' if key else "we sign with",
        "fingerprint": fingerprint or "see nameserver status --json",
        "with_key": f' with the key "{key}"' if key else "",
        "with_skew": f": the primary is {describe_skew(skew)}" if skew is not None else "",
    }
    return Advice(advice.meaning.format_map(filled), advice.next_step.format_map(filled))


def describe_skew(skew: float) -> str:
    """A clock difference (its clock minus ours, seconds) in words."""
    return f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} us"
