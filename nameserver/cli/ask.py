"""`nameserver ask NAME [TYPE] [@SERVER[:PORT]]`: one DNS question, for health checks and for machines without dig.

Asks without recursion, over UDP and, where the answer does not fit, over TCP. Never used by the daemon itself.
"""

import argparse
import json
import sys
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from nameserver.cli.arguments import seconds
from nameserver.cli.present import safe
from nameserver.config.model import Endpoint
from nameserver.config.values import BadValue, endpoint
from nameserver.telemetry.log import escape

GOOD, FINDING, UNREACHABLE = 0, 1, 3
DEFAULT_SERVER = "127.0.0.1"
MAX_SHOWN = 4 * 65535  # characters: any record there can be, escaped


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", metavar="NAME", type=_name, help="the name to ask for")
    parser.add_argument("rest", metavar="TYPE | @SERVER[:PORT]", nargs="*", help="A and @127.0.0.1 unless given")
    parser.add_argument("--any", action="store_true", help="any answer at all is good, REFUSED included")
    parser.add_argument("--tcp", action="store_true", help="ask over TCP at once")
    parser.add_argument("--timeout", type=seconds(600), default=2.0, metavar="SECONDS", help="for each of two tries")
    parser.add_argument("--json", action="store_true", help="the answer as one JSON object")
    parser.set_defaults(parser=parser)


def main(args: argparse.Namespace) -> int:
    """0 on an authoritative answer, one that says "no such name" included; 1 on any other; 3 where none came."""
    rdtype, server = _type_and_server(args)
    question = dns.message.make_query(args.name, rdtype, use_edns=0)
    question.flags &= ~dns.flags.RD
    began = time.monotonic()
    try:
        reply = _exchange(question, server, args.timeout, tcp=args.tcp)
    except (OSError, dns.exception.DNSException) as error:
        print(f"no answer from {server}: {safe(error or type(error).__name__)}", file=sys.stderr)
        return UNREACHABLE
    _show(reply, server, time.monotonic() - began, as_json=args.json)
    good = reply.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and reply.flags & dns.flags.AA
    return GOOD if good or args.any else FINDING


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a domain name: {error}") from error


def _type_and_server(args: argparse.Namespace) -> tuple[dns.rdatatype.RdataType, Endpoint]:
    """Which of the optional words is which; ends with exit code 2 where one is neither."""
    parser: argparse.ArgumentParser = args.parser
    rdtype, server = "A", DEFAULT_SERVER
    for word in args.rest:
        if word.startswith("@"):
            server = word[1:]
        else:
            rdtype = word
    try:
        return dns.rdatatype.from_text(rdtype), endpoint()(server)
    except dns.rdatatype.UnknownRdatatype:
        parser.error(f"{rdtype!r} is not a record type")
    except BadValue as bad:
        parser.error(f"@{server}: {bad}")


def _exchange(question: dns.message.Message, server: Endpoint, timeout: float, *, tcp: bool) -> dns.message.Message:
    if not tcp:
        for last in (False, True):
            try:
                reply = dns.query.udp(question, server.host, timeout=timeout, port=server.port)
            except dns.exception.Timeout:
                if last:
                    raise
                continue
            if not reply.flags & dns.flags.TC:
                return reply
            break
    return dns.query.tcp(question, server.host, timeout=timeout, port=server.port)


def _show(reply: dns.message.Message, server: Endpoint, seconds: float, *, as_json: bool) -> None:
    rcode = dns.rcode.to_text(reply.rcode())
    flags = dns.flags.to_text(reply.flags).lower()
    sections = {"answer": reply.answer, "authority": reply.authority, "additional": reply.additional}
    lines = {
        title: [line for rrset in section for line in rrset.to_text().splitlines()]
        for title, section in sections.items()
    }
    options = [option.to_text() for option in reply.options]
    if as_json:
        print(json.dumps({"server": str(server), "rcode": rcode, "flags": flags.split(), "options": options, **lines}))
        return
    print(f"{rcode} ({flags}) from {server} in {seconds * 1000:.1f} ms")
    for option in options:
        print(f"  {escape(option, MAX_SHOWN)}")
    for title, section in lines.items():
        for line in section:
            print(f"{title:<11}{escape(line, MAX_SHOWN)}")
