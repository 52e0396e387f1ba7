"""What `migrate compare` measures with, as its words say."""

import argparse
import asyncio
from collections.abc import Sequence

import pytest

from nameserver.cli.any_order import AnyOrder
from nameserver.cli.migrate import compare
from nameserver.migrate.checks import parity
from nameserver.migrate.checks.sides import Source, Taker
from nameserver.migrate.report import Report

SIDES = "shop.example --old 192.0.2.1 --new 192.0.2.2"


@pytest.mark.parametrize(
    ("words", "times"), [("", 3), ("--repeat 5", 5), ("--watch 60", 0), ("--watch 60 --repeat 2", 2), ("--repeat 0", 0)]
)
def test_a_watch_asks_nothing_that_a_server_counts_as_use_unless_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, words: str, times: int
):
    seen: list[Taker] = []

    async def measure(taker: Taker, old: Sequence[Source], new: Sequence[Source], *, accept_partial: bool) -> Report:
        seen.append(taker)
        return Report("compare", "shop.example")

    monkeypatch.setattr(parity, "measure", measure)
    parser = AnyOrder()
    compare.configure(parser)
    args: argparse.Namespace = parser.parse_args(f"{SIDES} {words}".split())
    asyncio.run(compare._compare(args))
    assert [taker.times for taker in seen] == [times]
