"""Memory is given back where the C library can, and nothing is missing where it cannot."""

import ctypes

import pytest

from nameserver.server import memory


def test_what_a_c_library_of_another_kind_cannot_do_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.give_back()

    def without(_name: None) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", without)
    monkeypatch.setattr(memory, "_trim", memory._find())
    assert memory._trim is None
    memory.give_back()
