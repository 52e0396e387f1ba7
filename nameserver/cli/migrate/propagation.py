"""`nameserver migrate propagation NAME [TYPE]`: what resolvers return by now."""

import argparse

import dns.rdatatype

from nameserver.cli.migrate import common, then_http
from nameserver.migrate.asking.servers import parse_server
from nameserver.migrate.checks import propagation
from nameserver.migrate.checks.steering import TIMES
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", metavar="NAME", type=common.zone_name)
    parser.add_argument("type", metavar="TYPE", nargs="?", type=_type, default=dns.rdatatype.NS, help="NS unless given")
    parser.add_argument(
        "--resolvers",
        metavar="SERVER",
        type=common.server,
        nargs="+",
        default=[parse_server(text) for text in propagation.PUBLIC],
        help=f"whom to ask ({', '.join(propagation.PUBLIC)})",
    )
    parser.add_argument("--expect", metavar="RDATA", nargs="+", help="what they should return, as in a zone file")
    parser.add_argument(
        "--target", type=common.ttl, metavar="SECONDS", help="the TTL that was set: more means cached before"
    )
    parser.add_argument(
        "--repeat",
        type=common.count(1, 100),
        default=TIMES,
        metavar="COUNT",
        help=f"ask each so often: behind one address there may be several caches ({TIMES})",
    )
    then_http.add_argument(parser)
    common.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when all return the same (and what is expected), 1 when not, 3 when none answers."""
    return common.run(args, lambda: _propagation(args))


def _type(text: str) -> dns.rdatatype.RdataType:
    try:
        return dns.rdatatype.from_text(text)
    except dns.rdatatype.UnknownRdatatype:
        raise argparse.ArgumentTypeError(f"{text!r} is not a record type") from None


async def _propagation(args: argparse.Namespace) -> Report:
    tools = common.tools(args)
    resolvers = [endpoint for server in args.resolvers for endpoint in await common.endpoints(tools, server)]
    try:
        for text in args.expect or ():
            propagation.folded(args.type, text)
    except ValueError as error:
        raise common.UsageError(f"--expect: {error}") from error
    sights = await propagation.measure(tools.asker, args.name, args.type, resolvers, args.repeat)
    report = propagation.judge(args.name, args.type, sights, expected=args.expect, target=args.target)
    if args.then_http:
        application = await then_http.measure(report.zone, args.then_http, args.timeout)
        report.tables += application.tables
        report.findings += application.findings
        report.facts["http"] = application.facts
        if report.exit_code == 1 and application.exit_code:
            report.verdict = f"{report.verdict} {application.verdict}"
    return report
