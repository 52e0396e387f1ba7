"""Whatever text a zone holds: YAML readers see it as it is, and octoDNS reads what was written and nothing else."""

import tempfile
from pathlib import Path

import dns.rdata
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from natsort import natsorted
from octodns.yaml import safe_load
from support.octodns_reader import canonical, read

from nameserver.zone.octodns import OctodnsForm, natural_key
from nameserver.zone.rdata_to_text import rdata_text
from nameserver.zone.yaml_text import block_lines, scalar

ASCII = st.characters(max_codepoint=127)
# What YAML gives a meaning to, mixed with what it does not.
ODD = st.lists(
    st.sampled_from([*"-:#?,[]{}&*!|>'\"%@`~=<.+0189aexoynTZ_ \\;\t\n", "null", "true", "No", "1:2", ".inf"])
)
TEXTS = st.text(ASCII, max_size=40) | ODD.map("".join)
LABELS = st.text(st.sampled_from("abcxyz0129-_*"), min_size=1, max_size=6)
TXT, APEX = 16, "example.com."


@given(TEXTS)
@example("2026-11-21")
@example("1e3")
@example("...")
@example("a #b")
@example("0o17")
def test_a_scalar_is_the_same_text_to_a_yaml_reader_as_value_and_as_key(text: str) -> None:
    written = scalar(text)
    assert "\n" not in written
    assert yaml.safe_load(f"- {written}") == [text]
    assert yaml.safe_load(f"a: {written}\nb: 1") == {"a": text, "b": 1}
    assert yaml.safe_load(f"{written}: 1") == {text: 1}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9).map(lambda value: round(value, 3)) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_a_mapping_of_anything_is_read_as_it_was(value: dict[str, object]) -> None:
    assert yaml.safe_load("\n".join(block_lines(value))) == value  # type: ignore[arg-type]


@given(st.lists(LABELS | TEXTS, unique=True))
def test_natural_order_is_that_of_natsort(texts: list[str]) -> None:
    texts = [text for text in texts if text.isprintable()]
    assert sorted(texts, key=natural_key) == natsorted(texts)


STRINGS = st.text(ASCII, max_size=12).map(str.encode) | st.binary(max_size=2)
STRINGS |= st.sampled_from([b'" "', b"\\;", b'"', b"a;b", b"x" * 255])
OWNERS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)


@given(st.dictionaries(OWNERS, st.lists(st.lists(STRINGS, min_size=1, max_size=4), min_size=1), max_size=6))
def test_octodns_reads_each_text_as_it_was_or_it_is_counted(texts: dict[str, list[list[bytes]]]) -> None:
    zone = {
        owner: sorted({rdata_text(TXT, b"".join(bytes((len(part),)) + part for part in parts)) for parts in records})
        for owner, records in texts.items()
    }
    form = OctodnsForm(APEX)
    lines = [f"{owner}.{APEX} 300 IN TXT {text}" for owner, records in zone.items() for text in records]
    owners = sorted(form.owners(lines))
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / f"{APEX}yaml"
        file.write_text("---\n" + "".join(text for _, text in owners))
        seen = read(Path(directory), APEX.rstrip("."))
        if owners:
            assert len(safe_load(file.read_text())) == len(owners)
    kept = {owner for owner, _, _, _ in seen}
    in_zone = {(f"{owner}.{APEX}", text) for owner, records in zone.items() for text in records}
    assert {(owner, octets(text)) for owner, _, _, text in seen} == {
        (owner, octets(text)) for owner, text in in_zone if owner in kept
    }
    assert len([owner for owner, _ in in_zone if owner not in kept]) == form.without.total()
    if not form.joined:
        assert {(owner, text) for owner, _, _, text in seen} == {
            (owner, canonical("TXT", text)) for owner, text in in_zone if owner in kept
        }


def octets(text: str) -> bytes:
    """All of a TXT, wherever it is cut into strings."""
    return b"".join(dns.rdata.from_text("IN", "TXT", text).strings)
