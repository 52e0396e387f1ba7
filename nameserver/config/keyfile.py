"""Key blocks as BIND writes them: `key "name" { algorithm hmac-sha256; secret "…"; };`.

What `tsig-keygen` prints can be included as it is. Only key blocks are understood; anything else is an error with its
line. No message quotes a word of the file that could be (part of) a secret.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from nameserver.config.suggest import did_you_mean, may_be_secret

_TOKEN = re.compile(
    r"(?P<blank>\s+|//[^\n]*|\#[^\n]*|/\*.*?\*/)"
    r'|"(?P<quoted>(?:\\.|[^"\\\n])*)"'
    r"|(?P<mark>[{};])"
    r"|(?P<bare>(?:(?!//|/\*)[^\s{};\"#])+)",
    re.DOTALL,
)
_PLAIN_WORD = re.compile(r"[a-z][a-z-]{0,30}")


@dataclass(frozen=True, slots=True)
class Token:
    """A word or one of `{ } ;`, with its line."""

    text: str = field(repr=False)  # may be the secret
    line: int
    is_mark: bool


@dataclass(frozen=True, slots=True)
class KeyBlock:
    """One key block; None where a part is missing."""

    name: str
    line: int
    algorithm: str | None
    algorithm_line: int
    secret: str | None = field(repr=False)
    secret_line: int


class Fault(NamedTuple):
    """What is wrong, and on which line."""

    line: int
    text: str


class _SyntaxFault(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, text)


def read_key_blocks(text: str) -> tuple[list[KeyBlock], list[Fault]]:
    """Every key block of a file, and what could not be understood. After a syntax fault the rest is not read."""
    blocks: list[KeyBlock] = []
    faults: list[Fault] = []
    try:
        reader = _Reader(list(_tokens(text)), faults)
        while reader.tokens:
            blocks.append(reader.block())
    except _SyntaxFault as stop:
        faults.append(stop.fault)
    if not blocks and not faults:
        faults.append(Fault(1, 'holds no key block; expected: key "NAME" { algorithm hmac-sha256; secret "…"; };'))
    return blocks, faults


def _tokens(text: str) -> Iterator[Token]:
    offset, line = 0, 1
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise _SyntaxFault(line, "a quote or a comment that does not end")
        if match["mark"] is not None:
            yield Token(match["mark"], line, True)
        elif match["quoted"] is not None:
            yield Token(re.sub(r"\\(.)", r"\1", match["quoted"]), line, False)
        elif match["bare"] is not None:
            yield Token(match["bare"], line, False)
        line += match[0].count("\n")
        offset = match.end()


class _Reader:
    def __init__(self, tokens: list[Token], faults: list[Fault]) -> None:
        self.tokens = tokens[::-1]  # the next one is last
        self.faults = faults
        self.line = 1

    def _next(self, expected: str) -> Token:
        if not self.tokens:
            raise _SyntaxFault(self.line, f"the file ends where {expected} was expected")
        token = self.tokens.pop()
        self.line = token.line
        return token

    def _at(self, mark: str) -> bool:
        return self.tokens[-1].is_mark and self.tokens[-1].text == mark

    def _mark(self, mark: str) -> None:
        token = self._next(f'"{mark}"')
        if not token.is_mark or token.text != mark:
            # any other word may be a piece of the secret
            known = token.is_mark or token.text in ("key", "algorithm", "secret")
            got = f', got "{token.text}"' if known else ""
            raise _SyntaxFault(token.line, f'expected "{mark}"{got}')

    def _word(self, expected: str) -> Token:
        token = self._next(expected)
        if token.is_mark:
            raise _SyntaxFault(token.line, f'expected {expected}, got "{token.text}"')
        return token

    def block(self) -> KeyBlock:
        """key NAME { … };"""
        keyword = self._word('"key"')
        if keyword.text.startswith("["):
            raise _SyntaxFault(keyword.line, "expected key blocks; a file of TOML tables must be named *.toml")
        if keyword.text != "key":
            raise _SyntaxFault(keyword.line, f'only key blocks can be included, expected "key"{_got(keyword)}')
        name = self._word("the key's name")
        self._mark("{")
        parts: dict[str, Token] = {}
        while self.tokens and not self._at("}"):
            self._statement(parts)
        self._mark("}")
        self._mark(";")
        algorithm, secret = parts.get("algorithm"), parts.get("secret")
        return KeyBlock(
            name.text,
            keyword.line,
            algorithm.text if algorithm else None,
            algorithm.line if algorithm else keyword.line,
            secret.text if secret else None,
            secret.line if secret else keyword.line,
        )

    def _statement(self, parts: dict[str, Token]) -> None:
        keyword = self._word('"algorithm" or "secret"')
        value = self._word("a value")
        self._mark(";")
        if keyword.text in parts:
            self.faults.append(Fault(keyword.line, f'"{keyword.text}" stands twice in one key block'))
        elif keyword.text in ("algorithm", "secret"):
            parts[keyword.text] = value
        else:
            known = ("algorithm", "secret")
            self.faults.append(
                Fault(keyword.line, f"unknown statement in a key block{did_you_mean(keyword.text, known)}")
            )


def _got(token: Token) -> str:
    """Other statements of named.conf are named; what is no plain word may be a piece of a secret."""
    is_word = _PLAIN_WORD.fullmatch(token.text) and not may_be_secret(token.text)
    return f', got "{token.text}"' if is_word else ""
