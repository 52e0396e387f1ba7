"""Which records show that a name or type does not exist: NSEC (RFC 4035 §3.1.3) and NSEC3 (RFC 5155 §7.2).

A signed zone has a `Denial` beside its nodes, an unsigned one has none and pays nothing. Through every change it keeps

    the owners of NSEC records                      in canonical order
    the owners of NSEC3 records, chain by chain     in the order of their hashes, which is that of their labels

and knows which of these the zone is using now (`active`): the chain of an NSEC3PARAM, else NSEC, else none. Chains
that no NSEC3PARAM names yet, or any longer, are kept in order all the same, since that is how a zone comes to another
denial by small steps: the step that switches costs no more than the others.

What `active` gives are *keys* of nodes, each of which has the record to send: two or three slices of the zone. Proofs
are not looked at: whether the signer left a gap is between it and the validator, and from a zone with gaps the records
nearest to the gap are sent.

    asked for                            NSEC                              NSEC3
    name that does not exist             nearest before it ·               closest encloser · nearest before the
                                         nearest before the wildcard       next closer name · before the wildcard
    type that a name does not have       the name's own                    the hash's own
       empty non-terminal                nearest before it                 the same
       left out of the chain (opt-out)                                     closest provable encloser · nearest
                                                                           before the next closer name
    answer made from a wildcard          nearest before the name           nearest before the next closer name
    type that the wildcard does not have the wildcard's · nearest before   closest encloser · nearest before the
                                         the name                          next closer name · the wildcard's

The work for a name that does not exist is one hash, that of the next closer name: what depends on its closest encloser
alone is remembered, for a bounded number of enclosers. How many rounds a hash has is the primary's choice:

    additional iterations   what is done
    up to 150               computed for every query (RFC 9276 §3.2)
    up to 2500              computed as Knot, NSD and BIND do, but within a budget for each second that all zones share
                            (`HashBudget`), so that random names cannot hold up other queries. Beyond it, as below
    more                    never computed: RFC 5155 §10.3 allows no zone to have them

What is sent instead of a proof is one record of the chain, whichever comes first. Validators treat as insecure what has
too many iterations, and they go by the number that a signed NSEC3 shows: it tells them all they need.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha1
from typing import Protocol

from nameserver.wire import codes
from nameserver.wire.rrset import RRset, split_tails
from nameserver.zone.node import HASHED_KEY, find_denial, find_rrset, find_rrsigs
from nameserver.zone.sorted_places import SortedPlaces, canonical_place, key_at

FREE_ITERATIONS = 150  # rounds beyond the first that are computed for every query
MAX_ITERATIONS = 2500  # that are computed at all
ROUNDS_PER_SECOND = 250_000  # of hashes with more than the free ones: a sixth of a second's work
REMEMBERED = 4096  # names, per kind of proof, of which the part that is always the same is kept
_CHAINS_TRIED = 8  # NSEC3PARAM records are looked at for the one in use; a zone has one or, for a while, two
_ASTERISK = b"\x01*"
_SHA1 = 1
_DIGITS = b"0123456789abcdefghijklmnopqrstuv"  # base 32, in ascending order as octets (RFC 4648 §7)
_TO_DIGIT = _DIGITS.ljust(256, b"?")

Keys = tuple[bytes, ...]


class HashBudget:
    """How much hashing may still be done in the current second, for zones with many iterations."""

    __slots__ = ("_second", "left", "was_short")

    def __init__(self) -> None:
        self._second = -1
        self.left = ROUNDS_PER_SECOND  # below zero by what the last proof took beyond it
        self.was_short = False  # whether the answer under way would have had a proof in another second

    def begin(self, now: int) -> None:
        """An answer is begun; the time is `now`, in seconds."""
        self.was_short = False
        if now != self._second:
            self._second = now
            self.left = ROUNDS_PER_SECOND


class Proofs(Protocol):
    """A way of denying. Each method gives the keys of nodes that hold the records of type `rdtype` to be sent.

    Names are zone-relative keys, `encloser` is the closest one above `name` that exists.
    """

    rdtype: int

    def nodata(self, name: bytes, exists_as_data: bool) -> Keys:
        """`name` exists but has not the type asked for; `exists_as_data`: it is no empty non-terminal."""

    def wildcard_nodata(self, name: bytes, encloser: bytes) -> Keys:
        """`name` does not exist, and the wildcard below `encloser` has not the type asked for."""

    def nxdomain(self, name: bytes, encloser: bytes) -> Keys:
        """Neither `name` nor a wildcard that covers it exists."""

    def wildcard_answer(self, name: bytes, encloser: bytes) -> Keys:
        """`name` does not exist, so that the answer made from the wildcard below `encloser` is right."""


class Denial:
    """The indexes of one signed zone, whose `nodes` are changed by its owner: each change is told here too."""

    __slots__ = ("_apex", "_chains", "_nodes", "_nsec", "active", "negative")

    def __init__(self, apex: bytes, nodes: Mapping[bytes, bytes]) -> None:
        """`apex` is the zone's folded name, `nodes` its nodes by key: looked into, never changed."""
        self._apex = apex
        self._nodes = nodes
        self._nsec = SortedPlaces()
        self._chains: dict[bytes, SortedPlaces] = {}
        self.active: NsecProofs | Nsec3Proofs | FirstOfChain | None = None
        self.negative: tuple[RRset, ...] = ()  # the SOA of negative answers and its signatures

    def replace(self, key: bytes, old: bytes | None, new: bytes | None) -> None:
        """A node comes (old None), changes, or goes (new None). `settle` is due after the last of such calls."""
        had_nsec, old_nsec3 = (False, b"") if old is None else find_denial(old)
        has_nsec, new_nsec3 = (False, b"") if new is None else find_denial(new)
        if has_nsec is not had_nsec:
            if has_nsec:
                self._nsec.add(canonical_place(key))
            else:
                self._nsec.remove(canonical_place(key))
        if old_nsec3 != new_nsec3:
            self._replace_hashed(key, _chains_of(key, old_nsec3), _chains_of(key, new_nsec3))

    def _replace_hashed(self, key: bytes, old: set[bytes], new: set[bytes]) -> None:
        """An owner of NSEC3 records was in some chains and is in others."""
        for parameters in old - new:
            chain = self._chains[parameters]
            chain.remove(key)
            if not chain:
                del self._chains[parameters]
        for parameters in new - old:
            if parameters not in self._chains:
                self._chains[parameters] = SortedPlaces()
            self._chains[parameters].add(key)

    def settle(self, negative_soa: RRset) -> None:
        """All of a version's nodes are in: find what denies from now on; what was remembered is forgotten."""
        apex_node = self._nodes[b""]
        signatures = find_rrsigs(apex_node, codes.SOA, negative_soa.owner)
        # A signature has the TTL of what it covers, whatever it says of the original one (RFC 4034 §3).
        self.negative = (negative_soa, signatures.with_ttl(negative_soa.ttl)) if signatures else (negative_soa,)
        self.active = self._find_chain(apex_node)
        if self.active is None and find_denial(apex_node)[0]:
            self.active = NsecProofs(self._nsec)

    def dismantled(self) -> Iterator[None]:
        """Empties the indexes, as `Zone.dismantled` the zone."""
        for places in (self._nsec, *self._chains.values()):
            yield from places.dismantled()

    def _find_chain(self, apex_node: bytes) -> "Nsec3Proofs | FirstOfChain | None":
        """The NSEC3 chain in use: one that an NSEC3PARAM without flags names (RFC 5155 §4.1.2) and that has the apex.

        Of several, in the course of a change from one to the other, the one with most owners: it is the complete one.
        """
        named = find_rrset(apex_node, codes.NSEC3PARAM, b"")
        chains: list[tuple[int, int, bytes, SortedPlaces]] = []
        for rdata in named.rdatas() if named else ():
            keys = self._chains.get(_parameters(rdata))
            if keys is not None and rdata[1] == 0:
                chains.append((-len(keys), rdata[2] << 8 | rdata[3], rdata[5:], keys))
        chains.sort(key=lambda chain: chain[:3])
        for _, iterations, salt, keys in chains[:_CHAINS_TRIED]:
            if iterations <= MAX_ITERATIONS:
                proofs = Nsec3Proofs(keys, self._nodes, self._apex, iterations, salt)
                if proofs.has(b""):
                    return proofs
        for _, iterations, _, keys in chains[:_CHAINS_TRIED]:
            if iterations > MAX_ITERATIONS:
                return FirstOfChain(keys)
        return None


def _chains_of(key: bytes, nsec3: bytes) -> set[bytes]:
    """The parameters of the chains that the NSEC3 records with these tails belong to."""
    if not nsec3 or len(key) != HASHED_KEY or key[0] != HASHED_KEY - 1 or key[1:].translate(None, _DIGITS):
        return set()
    return {_parameters(tail[10:]) for tail in split_tails(nsec3)} - {b""}


def _parameters(rdata: bytes) -> bytes:
    """Hash algorithm, iterations and salt, of NSEC3 or NSEC3PARAM rdata; b"" where we do not know the algorithm."""
    if len(rdata) < 5 or rdata[0] != _SHA1:
        return b""
    return rdata[:1] + rdata[2 : 5 + rdata[4]]


def nsec3_iterations(apex_node: bytes) -> int:
    """The most additional iterations of a chain that an NSEC3PARAM of a zone's apex names; 0 where there is none."""
    named = find_rrset(apex_node, codes.NSEC3PARAM, b"")
    if named is None:
        return 0
    usable = (rdata for rdata in named.rdatas() if _parameters(rdata) and rdata[1] == 0)
    return max((rdata[2] << 8 | rdata[3] for rdata in usable), default=0)


# --- NSEC ---------------------------------------------------------------------------------------------------------


class NsecProofs:
    """Denial by NSEC: names as they are, in canonical order."""

    __slots__ = ("_places", "_wildcards")
    rdtype = codes.NSEC

    def __init__(self, places: SortedPlaces) -> None:
        self._places = places
        self._wildcards: dict[bytes, bytes | None] = {}  # encloser → what denies its wildcard, or is it

    def _nearest(self, name: bytes) -> bytes | None:
        place = self._places.at_or_before(canonical_place(name))
        return None if place is None else key_at(place)

    def _wildcard(self, encloser: bytes) -> bytes | None:
        known = self._wildcards
        if encloser not in known:
            if len(known) == REMEMBERED:
                known.clear()
            known[encloser] = self._nearest(_ASTERISK + encloser)
        return known[encloser]

    def nodata(self, name: bytes, exists_as_data: bool) -> Keys:
        """See `Proofs`. A name whose own NSEC is missing gets none: any other would deny the name itself."""
        nearest = self._nearest(name)
        return () if nearest is None or (exists_as_data and nearest != name) else (nearest,)

    def wildcard_nodata(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`."""
        return _each_once(self._wildcard(encloser), self._nearest(name))

    def nxdomain(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`."""
        return _each_once(self._nearest(name), self._wildcard(encloser))

    def wildcard_answer(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`."""
        return _each_once(self._nearest(name))


def _each_once(*keys: bytes | None) -> Keys:
    return tuple(dict.fromkeys([key for key in keys if key is not None]))


# --- NSEC3 --------------------------------------------------------------------------------------------------------


class Nsec3Proofs:
    """Denial by NSEC3: names as hashes, and what is above a name is proved first, from the closest name that can be.

    `rounds` counts those of all hashes computed; `without_hashing` is what takes its place when the budget is used up.
    """

    __slots__ = (
        "_apex", "_closest", "_denied", "_iterations", "_keys", "_nodata", "_nodes", "_salt", "rounds",
        "without_hashing",
    )  # fmt: skip
    rdtype = codes.NSEC3

    def __init__(
        self, keys: SortedPlaces, nodes: Mapping[bytes, bytes], apex: bytes, iterations: int, salt: bytes
    ) -> None:
        self._keys = keys
        self._nodes = nodes
        self._apex = apex
        self._iterations = iterations
        self._salt = salt
        self.rounds = 0
        self.without_hashing = FirstOfChain(keys)
        self._closest: dict[bytes, tuple[bytes, bytes | None]] = {}  # see _closest_provable
        self._denied: dict[bytes, tuple[bool, Keys]] = {}  # encloser → (next closer name still open?, all else)
        self._nodata: dict[bytes, Keys] = {}  # existing name → its proof

    @property
    def is_costly(self) -> bool:
        """Whether hashes are computed within a budget only."""
        return self._iterations > FREE_ITERATIONS

    def has(self, name: bytes) -> bool:
        """Whether a name is in the chain."""
        return self._match(name) is not None

    def _hashed(self, name: bytes) -> bytes:
        self.rounds += 1 + self._iterations
        return hashed_key(name + self._apex, self._iterations, self._salt)

    def _match(self, name: bytes) -> bytes | None:
        """The key of the NSEC3 of exactly this name."""
        key = self._hashed(name)
        return key if key in self._nodes and self._keys.at_or_before(key) == key else None

    def _cover(self, name: bytes) -> bytes | None:
        """The key of the NSEC3 whose span a name falls into; the last one's span goes on at the first."""
        return self._keys.at_or_before(self._hashed(name)) or self._keys.last()

    def _closest_provable(self, encloser: bytes) -> tuple[bytes, bytes | None]:
        """The nearest name at or above an existing one that is in the chain, and the key of its NSEC3.

        Where names are left out of the chain (opt-out, RFC 5155 §6) that need not be the name itself.
        """
        known = self._closest
        found = known.get(encloser)
        if found is None:
            name, match = encloser, self._match(encloser)
            while match is None and name:
                name = name[name[0] + 1 :]
                match = self._match(name)
            if len(known) == REMEMBERED:
                known.clear()
            found = known[encloser] = name, match
        return found

    def nodata(self, name: bytes, exists_as_data: bool) -> Keys:
        """See `Proofs`; RFC 5155 §7.2.3, §7.2.4, §7.2.7. Also for an empty non-terminal that opt-out has left out."""
        known = self._nodata
        found = known.get(name)
        if found is None:
            closest, match = self._closest_provable(name)
            found = _each_once(match, None if closest == name else self._cover(next_closer(name, closest)))
            if len(known) == REMEMBERED:
                known.clear()
            known[name] = found
        return found

    def wildcard_nodata(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`; RFC 5155 §7.2.5."""
        closest, match = self._closest_provable(encloser)
        wildcard = self.nodata(_ASTERISK + encloser, True)
        return _each_once(match, self._cover(next_closer(name, closest)), *wildcard)

    def nxdomain(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`; RFC 5155 §7.2.2."""
        known = self._denied
        found = known.get(encloser)
        if found is None:
            closest, match = self._closest_provable(encloser)
            constant = None if closest == encloser else self._cover(next_closer(encloser, closest))
            if len(known) == REMEMBERED:
                known.clear()
            keys = _each_once(match, constant, self._cover(_ASTERISK + closest))
            found = known[encloser] = closest == encloser, keys
        is_open, keys = found
        return _each_once(*keys, self._cover(next_closer(name, encloser))) if is_open else keys

    def wildcard_answer(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`; RFC 5155 §7.2.6: the encloser is shown by the signature's count of labels."""
        return _each_once(self._cover(next_closer(name, encloser)))


class FirstOfChain:
    """Denial by a chain whose hashes cost too much to be computed; see the head of this file."""

    __slots__ = ("_chain",)
    rdtype = codes.NSEC3

    def __init__(self, chain: SortedPlaces) -> None:
        self._chain = chain

    @property
    def _keys(self) -> Keys:
        return _each_once(self._chain.first())

    def nodata(self, name: bytes, exists_as_data: bool) -> Keys:
        """See `Proofs`."""
        return self._keys

    def wildcard_nodata(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`."""
        return self._keys

    def nxdomain(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`."""
        return self._keys

    def wildcard_answer(self, name: bytes, encloser: bytes) -> Keys:
        """See `Proofs`."""
        return self._keys


def next_closer(name: bytes, encloser: bytes) -> bytes:
    """The name one label longer than `encloser` on the way down to `name`, which is below it."""
    while True:
        above = name[name[0] + 1 :]
        if len(above) == len(encloser):
            return name
        name = above


def hashed_key(name: bytes, iterations: int, salt: bytes) -> bytes:
    """The key under which the NSEC3 of a name stands (RFC 5155 §5): `name` is absolute and folded."""
    digest = sha1(name + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = sha1(digest + salt, usedforsecurity=False).digest()
    return b"\x20" + _base32hex(digest)


def _spreading() -> list[tuple[int, int, int]]:
    """How 160 bits are spread over 32 octets, five to each: halves are moved apart, then their halves, …

    Each step is (bits that stay, bits that move, by how much).
    """
    steps = []
    bits, stride = 160, 256
    while bits > 5:
        half = bits // 2
        starts = range(0, 256, stride)
        stay = sum(((1 << half) - 1) << start for start in starts)
        steps.append((stay, stay << half, stride // 2 - half))
        bits, stride = half, stride // 2
    return steps


_SPREADING = _spreading()


def _base32hex(digest: bytes) -> bytes:
    """20 octets in base 32 with the extended hex alphabet (RFC 4648 §7), in lower case."""
    number = int.from_bytes(digest, "big")
    for stay, move, shift in _SPREADING:
        number = number & stay | (number & move) << shift
    return number.to_bytes(32, "big").translate(_TO_DIGIT)
