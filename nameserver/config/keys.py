"""TSIG keys of the configuration: algorithms, secrets and the files that hold them.

The rule of this file: nothing it reports may contain a secret or a piece of one, also not a broken one, because a
typing error in a secret is still most of the secret.
"""

import base64
import binascii
import errno
import os
import re
import stat
from pathlib import Path

from nameserver.config.suggest import did_you_mean, printable, shown
from nameserver.config.values import BadValue
from nameserver.wire import names
from nameserver.wire.tsig import ALGORITHMS

# Digest sizes in bytes. A secret shorter than the digest weakens the MAC (RFC 2104 §3).
DIGEST_SIZES = {name: algorithm.digest_size for name, algorithm in ALGORITHMS.items()}
WEAK = frozenset({"hmac-sha224", "hmac-sha1"})
LEAST_SECRET = 16  # bytes: 128 bits
_BASE64_ALONE = re.compile(r"[A-Za-z0-9+/]{16,}=*|[^.]*=")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")
NOT_A_KEY_NAME = 'expected the name of a key, such as "transfer-key"; the value is not shown, it may be a secret'
_LARGEST_FILE = 64 * 1024
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


def read_private_file(path: Path, shown_as: str) -> str:
    """The text of a file that must be private. Raises `BadValue` with what to do.

    The checks are made on the opened file, so that it cannot be exchanged in between.
    """
    try:
        # O_NONBLOCK: a FIFO put there must not hang the start
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadValue(f"{shown_as} is a symbolic link; name the file itself") from None
        raise BadValue(f"{shown_as} cannot be read: {error.strerror}") from None
    try:
        _check_private(os.fstat(handle), path, shown_as)
        raw = os.read(handle, _LARGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(raw) > _LARGEST_FILE:
        raise BadValue(f"{shown_as} is larger than {_LARGEST_FILE} bytes, which no key file is")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadValue(f"{shown_as} does not hold text") from None


def _check_private(status: os.stat_result, path: Path, shown_as: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BadValue(f"{shown_as} is not a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise BadValue(f"{shown_as} belongs to user {status.st_uid}; its owner must be root or the user we run as")
    # systemd keeps credentials private by other means, an access list whose mask shows as group bits
    if str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY"):
        return
    if status.st_mode & 0o077:
        raise BadValue(f"{shown_as} can be read or written by others; run: chmod 600 {shown_as}")
    directory = path.parent.stat().st_mode
    if directory & stat.S_IWOTH and not directory & stat.S_ISVTX:
        raise BadValue(f"everyone can replace {shown_as}; run: chmod o-w {printable(str(path.parent))}")


def secret_of_file(directory: Path, name: str) -> str:
    """The base64 text of a `secret-file`. Its final line end is not counted as white space around the secret."""
    path = directory / name
    if _BASE64_ALONE.fullmatch(name) and not path.is_file():
        raise BadValue('no such file; its name is not shown, it looks like a secret (for that, write secret = "…")')
    shown_as = printable(str(path))
    text = read_private_file(path, shown_as)
    if "{" in text:
        raise BadValue(f"{shown_as} holds a key block; list it in include = […] and remove this [key.…] table")
    return text.removesuffix("\n").removesuffix("\r")
