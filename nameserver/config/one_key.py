"""One key out of a file that holds it, a secret-file or key blocks as BIND writes them: for `keygen --from`.

The checks are those of a configuration, and as there nothing that is reported holds a secret.
"""

import re
from pathlib import Path

from nameserver.config.files import is_file, read_private_file
from nameserver.config.keyfile import read_key_blocks
from nameserver.config.keys import algorithm_name, decode_secret
from nameserver.config.suggest import printable, shown_file
from nameserver.config.values import BadValue
from nameserver.wire import names
from nameserver.wire.tsig import ALGORITHMS, TsigKey

__all__ = ["DEFAULT_ALGORITHM", "BadValue", "read_key"]

DEFAULT_ALGORITHM = "hmac-sha256"
_TOML_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def read_key(path: Path, name: bytes, algorithm: str | None) -> tuple[TsigKey, list[str]]:
    """The key `name` (folded) of a secret-file or a file of BIND key blocks, and warnings.

    The same checks as in a configuration. `algorithm`: as given, else from the block. Raises `BadValue`, which shows no
    secret.
    """
    shown_as = printable(str(path)) if is_file(path) else shown_file(str(path))
    text = read_private_file(path, shown_as)
    warnings: list[str] = []
    if "{" in text:
        secret, of_block = _block(text, name, shown_as)
        if algorithm not in (None, of_block):
            raise BadValue(f"{shown_as} says that the algorithm is {of_block}; leave -a away, or make a new key")
        algorithm = of_block
    elif _TOML_TABLE.search(text):
        raise BadValue(f"{shown_as} holds TOML; name the secret-file itself, or a file of BIND key blocks")
    else:
        secret = text.removesuffix("\n").removesuffix("\r")
        if algorithm is None:
            algorithm = DEFAULT_ALGORITHM
            warnings += _other_length(secret)
    try:
        decoded, found = decode_secret(secret, algorithm)
    except BadValue as bad:
        raise BadValue(f"{shown_as}: {bad}") from None
    return TsigKey(name, algorithm, decoded), warnings + found


def _block(text: str, name: bytes, shown_as: str) -> tuple[str, str]:
    """Secret and algorithm of the key block that is called `name`."""
    blocks, faults = read_key_blocks(text)
    if faults:
        raise BadValue(f"{shown_as}:{faults[0].line}: {faults[0].text}")
    wanted = [block for block in blocks if _folded(block.name) == name]
    if len(wanted) != 1:
        many = "more than one key" if wanted else "no key"
        raise BadValue(f"{shown_as} has {many} of the name {names.to_text(name)}")
    [block] = wanted
    if block.secret is None or block.algorithm is None:
        raise BadValue(f"{shown_as}:{block.line}: the key block needs an algorithm and a secret")
    try:
        return block.secret, algorithm_name(block.algorithm, allow_weak=True)
    except BadValue as bad:
        raise BadValue(f"{shown_as}:{block.algorithm_line}: {bad}") from None


def _folded(text: str) -> bytes:
    try:
        return names.fold(names.from_text(text))
    except ValueError:
        return b""


def _other_length(secret: str) -> list[str]:
    """A secret-file has no algorithm; the secret's length tells which one it was made for."""
    length = len(secret.rstrip("=")) * 6 // 8
    for name, algorithm in ALGORITHMS.items():
        if algorithm.digest_size == length and name != DEFAULT_ALGORITHM:
            text = f"taken for a key of {DEFAULT_ALGORITHM}, but it is as long as {name} has them"
            return [f"{text}: if it is one, give -a {name}"]
    return []
