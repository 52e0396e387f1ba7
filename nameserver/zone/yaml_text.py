"""YAML in block style, as far as records need it: mappings, lists, and values of one line.

A text stands plain only where YAML 1.1 and 1.2 readers both take it for a text; a value is never folded, so one line of
the file is one value.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Union

Yaml = Union[str, int, float, bool, None, list["Yaml"], dict[str, "Yaml"]]  # noqa: UP007 - it refers to itself

_PLAIN = re.compile(r"[A-Za-z0-9_./:+\\^$(;<=~](?:[!-~]| (?!#))*")
_WORDS = frozenset(("y", "n", "yes", "no", "true", "false", "on", "off", "null", "~", "=", "<<", "..."))
# Whatever is made of these alone may be a number, a time or a date to some reader, addresses aside.
_NUMBER = re.compile(r"[-+.:0-9][-+.:_ 0-9a-fA-FoOxXtTzZ]*|[-+]?\.(?:inf|nan)", re.IGNORECASE)
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-f:]*::[0-9a-f:.]*")
_REMEMBERED = 1000  # texts: most are names of fields
_SHORT = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


@lru_cache(_REMEMBERED)
def scalar(text: str) -> str:
    """A text of ASCII characters as a key or a value."""
    if _is_plain(text):
        return text
    if all(" " <= character <= "~" for character in text):
        return "'" + text.replace("'", "''") + "'"
    return (
        '"'
        + "".join(_SHORT.get(each) or (each if " " <= each <= "~" else f"\\x{ord(each):02x}") for each in text)
        + '"'
    )


def _is_plain(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or text[-1] in " :" or ": " in text or text.lower() in _WORDS:
        return False
    return not _NUMBER.fullmatch(text) or _ADDRESS.fullmatch(text) is not None


def block_lines(value: Yaml, indent: str = "") -> Iterator[str]:
    """A mapping or a list, a line at a time, without line ends. Mappings keep their order."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _under(f"{indent}{scalar(key)}:", each, indent)
    elif isinstance(value, list):
        for each in value:
            yield from _item(each, indent)


def _under(head: str, value: Yaml, indent: str) -> Iterator[str]:
    if not value or not isinstance(value, dict | list):
        yield f"{head} {_single(value)}"
        return
    yield head
    yield from block_lines(value, f"{indent}  " if isinstance(value, dict) else indent)


def _item(value: Yaml, indent: str) -> Iterator[str]:
    if not value or not isinstance(value, dict | list):
        yield f"{indent}- {_single(value)}"
        return
    for number, line in enumerate(block_lines(value, f"{indent}  ")):
        yield line if number else f"{indent}- {line[len(indent) + 2 :]}"


def _single(value: Yaml) -> str:
    if isinstance(value, str):
        return scalar(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)  # numbers, and what is empty
