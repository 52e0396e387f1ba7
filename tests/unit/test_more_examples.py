"""NAMESERVER_EXAMPLES reaches every property test: functions, those with a limit around them, and state machines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from support.more_examples import give_more

RUN: dict[str, int] = {"function": 0, "machine": 0}


@settings(max_examples=3, database=None)
@given(st.integers(0, 10**9))
def counted(_number: int) -> None:
    RUN["function"] += 1


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        RUN["machine"] += 1

    @rule(number=st.integers(0, 10**9))
    def step(self, number: int) -> None:
        pass


def test_functions_and_state_machines_have_so_many_times_the_examples(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Machine.TestCase
    case.settings = settings(max_examples=3, stateful_step_count=2, database=None)
    module = request.node.getparent(pytest.Module)
    monkeypatch.setattr(module.obj, "Case", case, raising=False)
    cls = pytest.Class.from_parent(module, name="Case")
    items = [
        pytest.Function.from_parent(module, name="counted", callobj=counted),
        pytest.Function.from_parent(cls, name="runTest", callobj=case("runTest").runTest),
    ]
    give_more(items, 20)
    counted()
    case("runTest").runTest()
    assert RUN["function"] >= 60 and RUN["machine"] >= 60
