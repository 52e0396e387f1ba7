"""TSIG keys of the configuration: algorithms, names and secrets.

The rule of this file: nothing it reports may contain a secret or a piece of one, also not a broken one, because a
typing error in a secret is still most of the secret.
"""

import base64
import binascii
import re
from pathlib import Path

from nameserver.config.files import is_file, read_private_file
from nameserver.config.suggest import did_you_mean, may_be_secret_file, printable, shown
from nameserver.config.values import BadValue
from nameserver.wire import names
from nameserver.wire.tsig import ALGORITHMS

# Digest sizes in bytes. A secret shorter than the digest weakens the MAC (RFC 2104 §3).
DIGEST_SIZES = {name: algorithm.digest_size for name, algorithm in ALGORITHMS.items()}
WEAK = frozenset({"hmac-sha224", "hmac-sha1"})
LEAST_SECRET = 16  # bytes: 128 bits
_BASE64_ALONE = re.compile(r"[A-Za-z0-9+/]{16,}=*|[^.]*=")
_COOKIE_SECRET = re.compile(r"[0-9A-Fa-f]{32}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
NOT_A_KEY_NAME = 'expected the name of a key, such as "transfer-key"; the value is not shown, it may be a secret'
# What conf/nameserver.toml shows. It is published, so it protects nothing.
SAMPLE_SECRET = b"sample: run `nameserver keygen`!"


def algorithm_name(text: str, allow_weak: bool) -> str:
    """The algorithm in our spelling. Raises `BadValue` for what is unknown, broken or not allowed."""
    name = text.lower().removesuffix(".")
    if name in ("hmac-md5", "hmac-md5.sig-alg.reg.int", "md5"):
        raise BadValue("hmac-md5 is broken and not supported; make a new hmac-sha256 key with `nameserver keygen`")
    if name in WEAK and not allow_weak:
        raise BadValue(f"{name} is weak; use hmac-sha256, or set allow-weak = true in the key's TOML table")
    if name in DIGEST_SIZES:
        return name
    if name.rpartition("-")[0] in DIGEST_SIZES:
        raise BadValue(f"truncated MACs are not supported; use {name.rpartition('-')[0]} at both ends")
    raise BadValue(f"unknown algorithm {shown(text)}{did_you_mean(name, DIGEST_SIZES)}")


def decode_secret(text: str, algorithm: str | None) -> tuple[bytes, list[str]]:
    """The key material of base64 text, and warnings. Strict: what decoders disagree about is an error.

    `algorithm` may be None where it is not known (it was an error itself). Raises `BadValue`.
    """
    warnings = []
    stripped = text.strip()
    if stripped != text:
        warnings.append("white space around the secret was ignored; remove it, other servers may not accept it")
    if not stripped:
        raise BadValue("the secret is empty; make one with `nameserver keygen`")
    try:
        secret = base64.b64decode(stripped, validate=True)
        canonical = base64.b64encode(secret).decode() == stripped
    except (binascii.Error, ValueError):
        raise BadValue(f"the secret is not valid base64: {_base64_fault(stripped)}; it is not shown here") from None
    if not canonical:
        raise BadValue("the secret is not valid base64: its last character has bits that belong to no byte")
    if len(secret) < LEAST_SECRET:
        raise BadValue(f"the secret has {len(secret)} bytes; at least {LEAST_SECRET} are needed, make a new key")
    if secret == SAMPLE_SECRET:
        warnings.append(
            "this is the secret of the sample configuration, which everyone knows; make your own with keygen"
        )
    elif algorithm is not None and len(secret) < DIGEST_SIZES[algorithm]:
        warnings.append(
            f"the secret has {len(secret)} bytes, fewer than the {DIGEST_SIZES[algorithm]} of {algorithm} (RFC 2104 §3)"
        )
    return secret, warnings


def _base64_fault(text: str) -> str:
    """Why, without a character of it."""
    if any(character.isspace() for character in text):
        return "there is white space inside it"
    if not text.isascii() or not all(character.isalnum() or character in "+/=" for character in text):
        return "it holds a character outside A-Z, a-z, 0-9, + and /"
    if "=" in text.rstrip("="):
        return "a padding sign stands in its middle"
    return f"{len(text.rstrip('='))} characters with {len(text) - len(text.rstrip('='))} padding signs cannot be right"


def key_reference(text: str) -> bytes:
    """The folded wire name of a key that is referred to. Raises `BadValue`, which shows no secret put there."""
    try:
        if is_plain_name(text):
            return names.fold(names.from_text(text))
    except ValueError:  # its sentence quotes the name
        pass
    raise BadValue(NOT_A_KEY_NAME)


def is_plain_name(text: str) -> bool:
    """Whether a key may be called so. Stricter than DNS: base64 and "algorithm:name:secret" are no names."""
    return _PLAIN_NAME.fullmatch(text) is not None


def display_name(name: bytes) -> str:
    """A key's name as people write it."""
    return names.to_text(name)


def cookie_secrets_of_file(directory: Path, name: str) -> tuple[bytes, ...]:
    """The secrets of DNS cookies in a file: one or two lines of 32 hexadecimal digits. Raises `BadValue`.

    The first is the one in use, the second is accepted too (RFC 9018 §5). NSD's file of cookie secrets reads the same.
    """
    shown_as = printable(str(directory / name))
    lines = [line for line in read_private_file(directory / name, shown_as).split("\n") if line.strip()]
    if not 1 <= len(lines) <= 2 or not all(_COOKIE_SECRET.fullmatch(line.strip()) for line in lines):
        raise BadValue(
            f"{shown_as} must hold one or two lines of 32 hexadecimal digits (openssl rand -hex 16); not shown"
        )
    return tuple(bytes.fromhex(line.strip()) for line in lines)


def secret_of_file(directory: Path, name: str) -> str:
    """The base64 text of a `secret-file`. Its final line end is not counted as white space around the secret."""
    path = directory / name
    if (_BASE64_ALONE.fullmatch(name) or may_be_secret_file(name)) and not is_file(path):
        raise BadValue('no such file; its name is not shown, it looks like a secret (for that, write secret = "…")')
    shown_as = printable(str(path))
    text = read_private_file(path, shown_as)
    if "{" in text:
        raise BadValue(f"{shown_as} holds a key block; list it in include = […] and remove this [key.…] table")
    return text.removesuffix("\n").removesuffix("\r")
