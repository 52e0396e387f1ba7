"""A small tree: what `make tree` does with a larger one."""

from contextlib import ExitStack

import pytest
from bench.updatable import UpdatableBind
from support.peers import requires
from tree.__main__ import grow, run

pytestmark = pytest.mark.timeout(120)


def test_every_change_reaches_every_server_below_by_ixfr_and_all_end_equal() -> None:
    requires(*UpdatableBind.programs)
    with ExitStack() as stack:
        report = run(grow(stack, [1, 2]), changes=10, seconds=1.0, seed=1)
        assert report.faults == []
        assert set(report.p50) == {"1", "2"} and report.transfers["2"]["axfr"] == 2
