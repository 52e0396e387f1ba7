"""`nameserver migrate verify ZONE`: after the cut-over, is everything as it was, everywhere?"""

import argparse
import time

from nameserver.cli.migrate import common, moving
from nameserver.migrate import gates
from nameserver.migrate.gate import combine
from nameserver.migrate.report import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    moving.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when all of it is, 1 when not, 2 without a state file, 3 when nothing can be reached."""
    return common.run(args, lambda: _verify(args))


async def _verify(args: argparse.Namespace) -> Report:
    state = moving.load(args)
    survey = await moving.survey(args, state)
    survey.plan = ""  # what had to hold before the cut-over need not after it
    now = time.time()
    reports = {
        "delegation": await gates.delegation_gate(survey, state, now),
        "serials": await survey.serials(),
        "parity": await survey.parity(),
        "dnssec": await survey.dnssec(state.seen.get("ds-gone"), 0, now),
    }
    if state.resolvers:
        reports["resolvers: NS"] = await survey.resolved(state.new_ns)
        for kind in ("A", "AAAA", "MX"):
            reports[f"resolvers: {kind}"] = await survey.same_at_resolvers(kind)
    report = combine(state.zone, reports, "verify")
    state.log.append({"at": now, "verified": report.exit_code == 0, "digest": report.digest()})
    moving.save(args, state)
    report.verdict = "Everything is as it was." if report.exit_code == 0 else report.verdict
    return report
