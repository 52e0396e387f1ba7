"""Well-formed rdata of every type that has a layout of its own."""

import dns.rdata
import dns.rdataclass
import dns.rdatatype

IN = dns.rdataclass.IN

# One or more well-formed rdatas of every type with a layout, in text; names are absolute.
GOOD = """
A 192.0.2.1
AAAA 2001:db8::1
NS ns.example.
CNAME Target.example.
PTR .
DNAME other.example.
SOA ns.example. host.example. 1 2 3 4 5
MX 10 mail.example.
TXT "a" "b c" ""
SPF "v=spf1 -all"
HINFO "cpu" "os"
RP mbox.example. txt.example.
AFSDB 1 db.example.
RT 1 relay.example.
X25 "311061700956"
ISDN "150862028003217" "004"
ISDN "150862028003217"
NSAP-PTR name.example.
PX 10 map822.example. mapx400.example.
GPOS "-22.6882" "116.8652" "250.0"
LOC 60 9 0.000 N 24 39 0.000 E 10.00m 20.00m 2000.00m 20.00m
SRV 1 2 3 target.example.
NAPTR 100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.example.
NAPTR 100 50 "" "" "!^.*$!x!" .
KX 10 kx.example.
CERT 65534 65535 254 AQNSU6gF
APL 1:192.168.32.0/21 !2:2001:db8::/32
DS 12345 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
CDS 0 0 0 00
SSHFP 1 1 AA549BFE898489C02D1715D97D79C57BA2FA76AB
IPSECKEY 10 0 2 . AQNRU3mG
IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG
IPSECKEY 10 2 2 2001:db8::1 AQNRU3mG
IPSECKEY 10 3 2 gateway.example. AQNRU3mG
RRSIG A 8 2 3600 20300101000000 20200101000000 12345 Signer.example. AQNRU3mG
NSEC next.example. A MX RRSIG NSEC TYPE1234
NSEC .
DNSKEY 257 3 8 AQNRU3mG
CDNSKEY 0 3 0 AA==
KEY 512 3 8 AQNRU3mG
DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=
NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR MX RRSIG
NSEC3PARAM 1 0 0 -
NSEC3PARAM 1 0 12 AABBCCDD
TLSA 3 1 1 A9CDF989B504FE5DCA90C0D2167B6550570734F7C763E09FDF88904E06157065
SMIMEA 3 1 1 A9CDF989B504FE5DCA90C0D2167B6550570734F7C763E09FDF88904E06157065
HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cI rvs1.example. rvs2.example.
NINFO "a"
CSYNC 66 3 A NS AAAA
ZONEMD 2018031900 1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306
SVCB 1 svc.example. alpn=h2,h3 port=8443
HTTPS 0 other.example.
HTTPS 1 . ipv4hint=192.0.2.1
NID 10 0014:4fff:ff20:ee64
L32 10 10.1.2.0
L64 10 2001:0DB8:1140:1000
LP 10 l64.example.
EUI48 00-00-5e-00-53-2a
EUI64 00-00-5e-ef-10-00-00-2a
URI 10 1 "ftp://ftp.example/public"
CAA 0 issue "ca.example"
AVC "app-name:WOLFGANG"
AMTRELAY 10 0 0 .
AMTRELAY 10 1 1 203.0.113.15
AMTRELAY 10 0 2 2001:db8::15
AMTRELAY 128 1 3 amtrelays.example.
RESINFO "qnamemin" "exterr=15-17"
WALLET "currency" "address"
DLV 12345 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A
DSYNC CDS NOTIFY 5359 cds-scanner.example.
WKS 192.0.2.1 6 25 80
OPENPGPKEY AQNRU3mG
""".strip().splitlines()


def wire_of(line: str) -> tuple[int, bytes]:
    """Type and rdata of such a line."""
    rdtype, text = line.split(" ", 1)
    kind = dns.rdatatype.from_text(rdtype)
    return int(kind), dns.rdata.from_text(IN, kind, text).to_wire()
