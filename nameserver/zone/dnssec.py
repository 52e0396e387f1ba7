"""What a signed zone adds to an answer for those who ask for it with DO (RFC 4035 §3.1, RFC 5155 §7.2).

    section      what stands there           what comes with it
    answer       RRset                       its signatures, under the owner it goes out with; a CNAME that was made
                                             from a DNAME has none
    authority    SOA of a negative answer    its signatures, and the proof that the name or type does not exist
                 NS of a referral            DS and its signatures, or the proof that there is none
                 nothing                     the proof that no closer name exists, where a wildcard made the answer
    additional   addresses                   behind all of them, their signatures: the first to be left out

Each RRset and its signatures come from the node it is in; which nodes prove something, `nameserver.zone.denial` says.
Nothing here fails for what a zone lacks: a record that is not there is not sent.
"""

from nameserver.wire import codes
from nameserver.wire.names import relative_key
from nameserver.wire.rrset import RRset
from nameserver.zone.contents import Zone
from nameserver.zone.denial import Denial, HashBudget, Keys, Nsec3Proofs, Proofs
from nameserver.zone.lookup import ASTERISK, Answer, Kind, closest_encloser
from nameserver.zone.node import find_rrset, find_rrsigs, owner_of


def add_dnssec(zone: Zone, key: bytes, answer: Answer, budget: HashBudget) -> Answer:
    """The answer that `lookup` gave for `key`, with what DO asks for; as it is where the zone is unsigned."""
    denial = zone.denial
    if denial is None:
        return answer
    proofs = denial.active
    if not isinstance(proofs, Nsec3Proofs) or not proofs.is_costly:
        return _add(zone, denial, proofs, key, answer)
    if budget.left <= 0:
        budget.was_short = True
        return _add(zone, denial, proofs.without_hashing, key, answer)
    before = proofs.rounds
    answer = _add(zone, denial, proofs, key, answer)
    budget.left -= proofs.rounds - before
    return answer


def _add(zone: Zone, denial: Denial, proofs: Proofs | None, key: bytes, answer: Answer) -> Answer:
    if answer.kind is Kind.REFERRAL:
        return _referral(zone, proofs, answer)
    authority: tuple[RRset, ...] = ()
    if answer.kind is Kind.NODATA or answer.kind is Kind.NXDOMAIN:
        authority = denial.negative
        if proofs is not None:
            authority += _records(zone, proofs.rdtype, _denying(zone, proofs, key, answer))
    elif answer.encloser is not None and proofs is not None:
        authority += _records(zone, proofs.rdtype, proofs.wildcard_answer(key, answer.encloser))
    records = _signed(zone.nodes[answer.source], answer.answer) if answer.answer else ()
    return answer._replace(
        answer=records,
        authority=authority,
        additional=_with_signatures(zone, answer.additional),
        name_servers=_signed(zone.nodes[b""], answer.name_servers),
        server_addresses=_with_signatures(zone, answer.server_addresses),
    )


def _signed(node: bytes, rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
    """Each RRset, followed by its signatures in the node that it was made from."""
    signed: list[RRset] = []
    for rrset in rrsets:
        signed.append(rrset)
        signatures = find_rrsigs(node, rrset.type, rrset.owner)
        if signatures is not None:
            signed.append(signatures)
    return tuple(signed)


def _denying(zone: Zone, proofs: Proofs, key: bytes, answer: Answer) -> Keys:
    """The nodes that prove a negative answer."""
    if answer.encloser is None:
        return proofs.nodata(key, key in zone.nodes)
    if answer.kind is Kind.NXDOMAIN:
        return proofs.nxdomain(key, answer.encloser)
    return proofs.wildcard_nodata(key, answer.encloser)


def _records(zone: Zone, rdtype: int, keys: Keys) -> tuple[RRset, ...]:
    """The denying records of these nodes, with their signatures."""
    found: list[RRset] = []
    for key in keys:
        node = zone.nodes[key]
        owner = owner_of(node, key, zone.apex_as_received)
        rrsets = find_rrset(node, rdtype, owner), find_rrsigs(node, rdtype, owner)
        found += [rrset for rrset in rrsets if rrset is not None]
    return tuple(found)


def _referral(zone: Zone, proofs: Proofs | None, answer: Answer) -> Answer:
    """A delegation with its DS, or with the proof that it has none (RFC 4035 §3.1.4, RFC 5155 §7.2.7)."""
    cut = answer.source
    node = zone.nodes[cut]
    ds = find_rrset(node, codes.DS, answer.authority[0].owner)
    secured: tuple[RRset, ...] = ()
    if ds is not None:
        secured = _signed(node, (ds,))
    elif proofs is not None:
        secured = _records(zone, proofs.rdtype, proofs.nodata(cut, True))
    return answer._replace(authority=answer.authority + secured, additional=_with_signatures(zone, answer.additional))


def _with_signatures(zone: Zone, rrsets: tuple[RRset, ...]) -> tuple[RRset, ...]:
    """RRsets of the additional section with their signatures behind them all."""
    return rrsets + tuple(rrset for each in rrsets for rrset in _signatures(zone, each))


def _signatures(zone: Zone, rrset: RRset) -> tuple[RRset, ...]:
    """The signatures of an RRset of the additional section; glue has none.

    One that a wildcard made has the wildcard's, as Knot, NSD and BIND send it; the proof is left to who asks for it.
    """
    key = relative_key(rrset.owner.lower(), zone.apex)
    node = None
    if key is not None:
        source = key if zone.exists(key) else ASTERISK + closest_encloser(zone, key)
        node = zone.nodes.get(source)
    signatures = None if node is None else find_rrsigs(node, rrset.type, rrset.owner)
    return () if signatures is None else (signatures,)
