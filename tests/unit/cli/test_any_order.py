"""Every migration command takes its options and its other words in any order."""

import argparse
from importlib import import_module
from itertools import pairwise, permutations
from random import Random

import pytest

from nameserver.cli.any_order import AnyOrder
from nameserver.cli.main import main
from nameserver.cli.migrate import VERBS

# By verb: what belongs together; each in any place. The words without an option keep their order among themselves.
SIDES = ["--old 192.0.2.1 192.0.2.2", "--new 192.0.2.3"]
UNITS = {
    "plan": [*SIDES, "--new-ns a.example b.example"],
    "gate": [*SIDES, "--new-ns a.example b.example"],
    "compare": [*SIDES, "--old-key k", "-4"],
    "dnssec": ["--old 192.0.2.1", "--new 192.0.2.3"],
    "delegation": ["--expect a.example b.example", "--old 192.0.2.1"],
    "propagation": ["--resolvers 192.0.2.1 192.0.2.2", "--target 300"],
    "primary-snippet": ["--for knot", "-c nameserver.toml"],
}
PLAIN = {
    "inventory": "@192.0.2.1",
    "snapshot": "@192.0.2.1",
    "check": "@192.0.2.1",
    "ttl": "@192.0.2.1",
    "serials": "@192.0.2.1 @192.0.2.2",
    "exposure": "@192.0.2.1 @192.0.2.2",
    "propagation": "MX",
}


def parser_of(verb: str) -> AnyOrder:
    parser = AnyOrder(prog=verb, allow_abbrev=False)
    module = next(each.module for each in VERBS if each.name == verb)
    import_module(module).configure(parser)
    return parser


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_options_and_other_words_may_stand_in_any_order(verb: str):
    parser = parser_of(verb)
    options = [each.split(" ") for each in UNITS.get(verb, [])]
    known = parser._option_string_actions
    options += [[word] for word in ("--json",) if word in known]
    options += [["--root-hints", "hints"]] if "--root-hints" in known else []
    plain = [[word] for word in f"shop.example {PLAIN.get(verb, '')}".split()]
    units = plain + options
    wanted = parser.parse_args([word for unit in units for word in unit])
    assert wanted.zone if hasattr(wanted, "zone") else wanted.name
    orders = list(permutations(range(len(units)))) if len(units) < 6 else []
    orders += [tuple(Random(seed).sample(range(len(units)), len(units))) for seed in range(0 if orders else 200)]
    tried = 0
    for order in orders:
        remaining = iter(plain)
        arranged = [next(remaining) if index < len(plain) else units[index] for index in order]
        # Behind an option of several values nothing tells its own from others; what is told then has tests below.
        if any(_takes_several(parser, one) and two in plain for one, two in pairwise(arranged)):
            continue
        words = [word for unit in arranged for word in unit]
        assert parser.parse_args(words) == wanted, words
        tried += 1
    assert tried > 1


def _takes_several(parser: AnyOrder, unit: list[str]) -> bool:
    action = parser._option_string_actions.get(unit[0])
    return action is not None and action.nargs in ("+", "*")


def test_a_zone_behind_an_option_of_several_values_is_the_zone():
    parsed = parser_of("gate").parse_args(
        ["--old", "192.0.2.1", "192.0.2.2", "--new", "192.0.2.3", "192.0.2.4", "shop.example"]
    )
    assert str(parsed.zone) == "shop.example."
    assert [str(server) for server in parsed.new] == ["192.0.2.3:53", "192.0.2.4:53"]


def test_servers_behind_an_option_are_taken():
    parsed = parser_of("serials").parse_args(
        ["shop.example", "--root-hints", "hints", "@192.0.2.1", "--json", "@192.0.2.2"]
    )
    assert [str(server) for server in parsed.servers] == ["192.0.2.1:53", "192.0.2.2:53"]


def test_what_cannot_be_told_apart_is_refused_and_never_guessed():
    for words in ("--old 192.0.2.1 shop.example --new 192.0.2.3 192.0.2.4 --json", "--old 192.0.2.1 --new 192.0.2.3"):
        with pytest.raises(SystemExit):
            parser_of("gate").parse_args(words.split())


def test_behind_two_hyphens_nothing_is_an_option():
    parsed = parser_of("propagation").parse_args(["--resolvers", "192.0.2.1", "192.0.2.2", "--", "shop.example", "MX"])
    assert (str(parsed.name), len(parsed.resolvers)) == ("shop.example.", 2)


def test_the_command_itself_takes_them_so(capsys: pytest.CaptureFixture[str]):
    words = "migrate serials shop.example --timeout 0.2 @127.0.0.1:9 --json"
    assert main(words.split()) == 3
    assert '"127.0.0.1:9"' in capsys.readouterr().out


def test_verbs_of_their_own_words_are_left_in_order():
    parser = AnyOrder()
    parser.in_order = True
    parser.add_argument("verb")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    assert parser.parse_args(["run", "--x", "y"]).words == ["--x", "y"]
