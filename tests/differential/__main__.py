"""Our answers beside those of Knot, NSD and BIND, over generated zones.

    worlds ─▶ zones ─▶ primary ══ AXFR ══▶ Knot · NSD · BIND · ours ◀══ questions (UDP, TCP)
                                              └──── replies ────▶ compare ─▶ report

    make differential [ZONES=200 QUERIES=100000 SEED=…]     exit status 1: something differs that `differences` does not
    make differential SEED=… ZONES=… CASE=3/12/417          explain; the second form asks one question again

Everything is drawn from the seed. What decides: `compare`; what is taken for equal: `seen`, `optional`; what we do
otherwise on purpose: `differences`; what our replies must fulfil in any case: `own_rules`.
"""

import argparse
import secrets
import sys
import time

from differential.differences import DIFFERENCES
from differential.findings import example_lines, lines
from differential.rounds import run, run_case


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="differential", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--zones", type=int, default=200)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--seed", default="")
    parser.add_argument("--case", default="", help="world/zone/number: ask this one question alone")
    parser.add_argument("--examples", action="store_true", help="an example of each difference that is meant")
    parser.add_argument("--unsigned", action="store_true", help="sign no zone")
    arguments = parser.parse_args()
    seed = int(arguments.seed) if arguments.seed else secrets.randbelow(1_000_000_000)
    command = f"make differential SEED={seed} ZONES={arguments.zones}" + (" UNSIGNED=1" if arguments.unsigned else "")
    if arguments.case:
        verdict = run_case(seed, arguments.zones, arguments.case, DIFFERENCES, not arguments.unsigned)
        for line in example_lines(verdict, command):
            say(line)
        say(f"unexplained: {[each.field for each in verdict.unexplained] + verdict.faults}")
        say(f"explained by: {verdict.explained_by}")
        return 0 if verdict.good else 1
    say(f"seed {seed}")
    began = time.monotonic()
    tally = run(seed, arguments.zones, arguments.queries, DIFFERENCES, not arguments.unsigned)
    for line in lines(tally, DIFFERENCES, command, tally.zones >= 200, arguments.examples):
        say(line)
    say(f"{time.monotonic() - began:.0f} s, seed {seed}")
    return 1 if tally.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
