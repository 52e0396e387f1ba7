"""The classes of failure."""

import pytest

from nameserver.errors import Reason
from nameserver.refresh.outcome import CLASS_OF


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_belongs_to_a_class(reason: Reason) -> None:
    assert reason in CLASS_OF
