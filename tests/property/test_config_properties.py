"""Configuration text of any kind: problems are reported, never raised as something else, and on the right line."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nameserver.config.keyfile import read_key_blocks
from nameserver.config.load import load_config
from nameserver.config.positions import find_positions
from nameserver.errors import ConfigError

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=6)
scalars = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.sampled_from(["1979-05-27T07:32:00Z", "07:32:00", "1e9", "-inf"]),
    names,
)
documents = st.dictionaries(names, st.dictionaries(names, st.lists(scalars, max_size=3), max_size=4), max_size=4)
SECRET = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("\\ud", "\\uD") if text.isascii() else f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return "".join(f"\\U{ord(character):08x}" for character in text)


def scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value not in ("1979-05-27T07:32:00Z", "07:32:00", "1e9", "-inf"):
        return quoted(value)
    return str(value)


@given(documents, st.booleans())
def test_every_path_of_a_document_is_found_on_its_line(document, spread):
    lines: list[str] = []
    expected: dict[tuple[str | int, ...], int] = {}
    for table, keys in document.items():
        lines += ["# comment = [", f"[{quoted(table)}]"]
        expected[table,] = len(lines)
        for key, elements in keys.items():
            lines.append(f"{quoted(key)} = [")
            expected[table, key] = len(lines)
            for index, element in enumerate(elements):
                if spread:
                    lines.append("  # ]")
                    lines.append(f"  {scalar(element)},")
                else:
                    lines[-1] += f" {{ {quoted(key)} = {scalar(element)} }}, "
                expected[table, key, index] = len(lines)
            lines.append("]")
    text = "\n".join(lines)
    tomllib.loads(text)
    found = find_positions(text)
    assert {path: found[path] for path in expected} == expected


HEADERS = ["[server]\n", "[key.k]\n", "[remote.a]\n", '[zone."a.b"]\n', "[zone.a.b]\n", "[template.default]\n"]
KEYS = ["listen", "workers", "secret", "address", "primaries", "allow-transfer", "include", "key"]
SIGNS = ["=", "= [", "]", "{", "}", ", ", "\n", '"', "'", '"""', ".", "#"]
VALUES = ['"192.0.2.1"', '"a"', '"k"', f'"{SECRET}"', f'"{SECRET[:-2]}"', SECRET, "5", "true", '"1h"']
toml_words = st.sampled_from(HEADERS + KEYS + SIGNS + VALUES)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "main.toml"


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(toml_words, max_size=30).map("".join))
def test_any_text_is_a_configuration_or_a_list_of_problems_without_secrets(file, text):
    file.write_text(text)
    try:
        load_config(file)
    except ConfigError as error:
        assert error.problems
        assert all(problem.startswith(f"{file}:") and "\n" not in problem for problem in error.problems)
        assert SECRET[:20] not in str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_list_of_problems(file, raw):
    file.write_bytes(raw)
    try:
        load_config(file)
    except ConfigError as error:
        assert error.problems


setting_values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2), max_leaves=3)


@given(
    st.sampled_from(["server", "key.k", "remote.a", "template.default", "zone.a"]),
    st.sampled_from(
        [
            "listen",
            "workers",
            "state-dir",
            "http",
            "nsid",
            "max-udp-size",
            "algorithm",
            "secret",
            "allow-weak",
            "address",
            "key",
            "source",
            "type",
            "file",
            "primaries",
            "allow-notify",
            "jitter",
            "max-zone-size",
            "connect-timeout",
            "template",
        ]
    ),
    setting_values,
)
def test_any_value_of_any_key_is_taken_or_reported(file, table, key, value):
    def text(item: object) -> str:
        return "[" + ", ".join(map(text, item)) + "]" if isinstance(item, list) else scalar(item)

    file.write_text(f"[{table}]\n{key} = {text(value)}\n")
    try:
        load_config(file)
    except ConfigError as error:
        assert error.problems


block_words = st.sampled_from(
    ["key", " k ", "{", "}", ";", "algorithm ", "secret ", '"', SECRET, "#", "//", "/*", "*/", "\n", "\\"]
)


@given(st.lists(block_words, max_size=25).map("".join))
def test_any_text_is_key_blocks_or_faults_without_secrets(text):
    blocks, faults = read_key_blocks(text)
    assert blocks or faults
    assert SECRET[:20] not in str(faults)
