"""Whether a signed answer proves what it says: RFC 4035 §5.3.4 and §5.4, RFC 5155 §8, all but the cryptography.

Written from the validator's side, over dnspython's messages, and knowing nothing of the zone but its name: so what it
accepts has been proved by the records in the answer alone. Signatures are taken for good where they are there.
"""

from collections.abc import Iterable

import dns.dnssec
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

NS, CNAME, SOA, DNAME, DS, RRSIG, NSEC, NSEC3 = 2, 5, 6, 39, 43, 46, 47, 50
WILDCARD = dns.name.Name(["*"])

Name = dns.name.Name


class Bogus(AssertionError):
    """The answer does not prove what it says."""


def validate(reply: dns.message.Message, apex: Name) -> str:
    """ "secure", or "insecure" where the proof rests on opt-out or ends at an unsigned delegation. Raises `Bogus`."""
    return _Answer(reply, apex).verdict()


class _Answer:
    def __init__(self, reply: dns.message.Message, apex: Name) -> None:
        self.reply, self.apex = reply, apex
        self.nsec = self._denying(NSEC)
        self.nsec3 = self._denying(NSEC3)

    def _denying(self, rdtype: int) -> list[tuple[Name, dns.rdata.Rdata]]:
        rrsets = [rrset for rrset in self.reply.authority if rrset.rdtype == rdtype]
        for rrset in rrsets:
            self.signatures(self.reply.authority, rrset)
        return [(rrset.name, rdata) for rrset in rrsets for rdata in rrset]

    def signatures(self, section: Iterable[dns.rrset.RRset], rrset: dns.rrset.RRset) -> list[dns.rdata.Rdata]:
        """The signatures of an RRset. Raises `Bogus` where there are none, or under another TTL."""
        for each in section:
            if each.name == rrset.name and each.rdtype == RRSIG and each.covers == rrset.rdtype:
                if each.ttl != rrset.ttl:
                    raise Bogus(f"the signature's TTL is {each.ttl}, not {rrset.ttl}: {rrset}")
                return list(each)
        raise Bogus(f"not signed: {rrset}")

    def verdict(self) -> str:
        question = self.reply.question[0]
        name, rdtype = question.name, question.rdtype
        verdicts, seen = {"secure"}, set()
        while name not in seen:
            seen.add(name)
            found = self._find(name, rdtype) or self._find(name, CNAME)
            if found is None:
                return min(verdicts | {self._negative(name, rdtype)})  # "insecure" sorts first
            if not self._is_made_from_dname(found):
                verdicts.add(self._positive(found))
            if found.rdtype == rdtype:
                return min(verdicts)
            name = found[0].target
            if not name.is_subdomain(self.apex):
                break
        return min(verdicts)  # a chain that leaves the zone, or a loop

    def _find(self, name: Name, rdtype: int) -> dns.rrset.RRset | None:
        return next((each for each in self.reply.answer if (each.name, each.rdtype) == (name, rdtype)), None)

    def _is_made_from_dname(self, cname: dns.rrset.RRset) -> bool:
        for dname in self.reply.answer:
            if dname.rdtype == DNAME and cname.name != dname.name and cname.name.is_subdomain(dname.name):
                self._positive(dname)
                made = cname.name.relativize(dname.name) + dname[0].target
                if cname.rdtype == CNAME and cname[0].target == made:
                    return True
        return False

    def _positive(self, rrset: dns.rrset.RRset) -> str:
        labels = self.signatures(self.reply.answer, rrset)[0].labels
        depth = len(rrset.name) - 1 - (rrset.name.labels[0] == b"*")
        if labels == depth:
            return "secure"
        if labels > depth:
            raise Bogus(f"signed for a longer name: {rrset}")
        if self.nsec:
            self._covering_nsec(rrset.name)
            if len(self._nsec_encloser(rrset.name)) - 1 != labels:
                raise Bogus(f"a closer name exists: {rrset}")
            return "secure"
        next_closer = rrset.name.split(labels + 2)[1]
        return "insecure" if self._covering_nsec3(next_closer).flags & 1 else "secure"

    def _negative(self, name: Name, rdtype: int) -> str:
        soa = next((each for each in self.reply.authority if each.rdtype == SOA), None)
        if soa is None:
            return self._referral(name, rdtype)
        if soa.name != self.apex:
            raise Bogus(f"SOA of another zone: {soa}")
        self.signatures(self.reply.authority, soa)
        if self.reply.rcode() == dns.rcode.NXDOMAIN:
            return self._nsec_nxdomain(name) if self.nsec else self._nsec3_nxdomain(name)
        return self._nsec_nodata(name, rdtype) if self.nsec else self._nsec3_nodata(name, rdtype)

    def _referral(self, name: Name, rdtype: int) -> str:
        cut = next((each for each in self.reply.authority if each.rdtype == NS), None)
        if cut is None or cut.name == self.apex or not name.is_subdomain(cut.name):
            raise Bogus("neither an answer nor a referral")
        if (cut.name, rdtype) == (name, DS):
            raise Bogus("DS is the parent's to answer")
        ds = next((each for each in self.reply.authority if (each.name, each.rdtype) == (cut.name, DS)), None)
        if ds is not None:
            self.signatures(self.reply.authority, ds)
            return "secure"
        if self.nsec:
            self._nsec_nodata(cut.name, DS)
        else:
            self._nsec3_nodata(cut.name, DS)
        return "insecure"

    # NSEC

    def _covering_nsec(self, name: Name) -> tuple[Name, dns.rdata.Rdata]:
        for owner, nsec in self.nsec:
            if owner < name and (name < nsec.next or nsec.next == self.apex):
                if NS in _types(nsec) and SOA not in _types(nsec) and name.is_subdomain(owner):
                    raise Bogus(f"the NSEC of a delegation denies {name} below it")
                return owner, nsec
        raise Bogus(f"no NSEC covers {name}")

    def _nsec_encloser(self, name: Name) -> Name:
        owner, nsec = self._covering_nsec(name)
        common = [name.fullcompare(other)[2] for other in (owner, nsec.next)]
        return name.split(max(common))[1]

    def _nsec_nxdomain(self, name: Name) -> str:
        if self._covering_nsec(name)[1].next.is_subdomain(name):
            raise Bogus(f"{name} exists, as an empty non-terminal")
        wildcard = WILDCARD + self._nsec_encloser(name)
        if self._covering_nsec(wildcard)[1].next.is_subdomain(wildcard):
            raise Bogus(f"{wildcard} exists, as an empty non-terminal")
        return "secure"

    def _nsec_nodata(self, name: Name, rdtype: int) -> str:
        if self._nsec_exists_without(name, rdtype):
            return "secure"
        wildcard = WILDCARD + self._nsec_encloser(name)
        if self._nsec_exists_without(wildcard, rdtype):
            return "secure"
        raise Bogus(f"neither {name} nor {wildcard} is shown to exist")

    def _nsec_exists_without(self, name: Name, rdtype: int) -> bool:
        for owner, nsec in self.nsec:
            if owner == name:
                _assert_lacks(nsec, rdtype, owner, self.apex)
                return True
        return self._covering_nsec(name)[1].next.is_subdomain(name)

    # NSEC3

    def _hash(self, name: Name, nsec3: dns.rdata.Rdata) -> str:
        return dns.dnssec.nsec3_hash(name, nsec3.salt or None, nsec3.iterations, nsec3.algorithm).lower()

    def _matching_nsec3(self, name: Name) -> dns.rdata.Rdata | None:
        for owner, nsec3 in self.nsec3:
            if owner.labels[0].lower().decode() == self._hash(name, nsec3) and owner.parent() == self.apex:
                return nsec3
        return None

    def _covering_nsec3(self, name: Name) -> dns.rdata.Rdata:
        for owner, nsec3 in self.nsec3:
            start, end, here = owner.labels[0].lower().decode(), nsec3.next_name().labels[0].decode().lower(), ""
            here = self._hash(name, nsec3)
            if start < here < end or (end <= start and (here > start or here < end)):
                return nsec3
        raise Bogus(f"no NSEC3 covers {name}")

    def _closest_encloser(self, name: Name) -> tuple[Name, dns.rdata.Rdata]:
        """(the closest encloser, the NSEC3 that covers the next closer name); RFC 5155 §8.3."""
        if self._matching_nsec3(name) is not None:
            raise Bogus(f"{name} exists")
        next_closer = name
        while next_closer != self.apex:
            encloser = next_closer.parent()
            match = self._matching_nsec3(encloser)
            if match is not None:
                types = _types(match)
                if DNAME in types or (NS in types and SOA not in types):
                    raise Bogus(f"{encloser} is a delegation or DNAME")
                return encloser, self._covering_nsec3(next_closer)
            next_closer = encloser
        raise Bogus(f"no closest encloser of {name}")

    def _nsec3_nxdomain(self, name: Name) -> str:
        encloser, covering = self._closest_encloser(name)
        self._covering_nsec3(WILDCARD + encloser)
        return "insecure" if covering.flags & 1 else "secure"

    def _nsec3_nodata(self, name: Name, rdtype: int) -> str:
        match = self._matching_nsec3(name)
        if match is not None:
            _assert_lacks(match, rdtype, name, self.apex)
            return "secure"
        encloser, covering = self._closest_encloser(name)
        wildcard = self._matching_nsec3(WILDCARD + encloser)
        if wildcard is not None:
            _assert_lacks(wildcard, rdtype, WILDCARD + encloser, self.apex)
        elif not covering.flags & 1:
            raise Bogus(f"neither {name} nor a wildcard is shown to exist")
        return "insecure" if covering.flags & 1 else "secure"


def _types(rdata: dns.rdata.Rdata) -> set[int]:
    return {
        window << 8 | octet << 3 | bit
        for window, bits in rdata.windows
        for octet, value in enumerate(bits)
        for bit in range(8)
        if value & 0x80 >> bit
    }


def _assert_lacks(rdata: dns.rdata.Rdata, rdtype: int, owner: Name, apex: Name) -> None:
    types = _types(rdata)
    if rdtype in types or (CNAME in types and rdtype not in (RRSIG, NSEC)):
        raise Bogus(f"{owner} has the type, or an alias: {rdata}")
    if rdtype == DS and SOA in types and owner != apex:
        raise Bogus(f"from the child's side: {rdata}")
    if rdtype != DS and NS in types and SOA not in types:
        raise Bogus(f"{owner} is a delegation, which answers for DS alone: {rdata}")
