"""`nameserver keygen NAME`: a TSIG key, as each server wants to read it.

A new one each time; with --from FILE the one that is in FILE, so that both ends get the same secret, each in its form.
"""

import argparse
import base64
import os
import re
import secrets
import sys
from pathlib import Path

from nameserver.cli.main import GOOD, USAGE
from nameserver.wire import names
from nameserver.wire.tsig import ALGORITHMS, TsigKey

_DEFAULT_ALGORITHM = "hmac-sha256"
_WEAK = frozenset({"hmac-sha1", "hmac-sha224"})
# Letters that mean the same to every server's configuration and to a shell.
_KEY_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")

# Every form but "secret" has the fingerprint as a comment; all of these languages take "#".
_TEMPLATES = {
    "toml": '[key."{name}"]\nalgorithm = "{algorithm}"\nsecret    = "{secret}"\n{weak}',
    "bind": 'key "{name}" {{\n\talgorithm {algorithm};\n\tsecret "{secret}";\n}};\n',
    "nsd": 'key:\n    name: "{name}"\n    algorithm: {algorithm}\n    secret: "{secret}"\n',
    "knot": "key:\n  - id: {name}\n    algorithm: {algorithm}\n    secret: {secret}\n",
    "pdns": (
        "# PowerDNS 5.0 and later:\n"
        "pdnsutil tsigkey import {name} {algorithm} {secret}\n"
        "# PowerDNS 4:\n"
        "# pdnsutil import-tsig-key {name} {algorithm} {secret}\n"
    ),
    "secret": "{secret}\n",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", metavar="NAME", type=_key_name, help="the key's name, the same at both ends")
    parser.add_argument(
        "-a",
        "--algorithm",
        type=_algorithm,
        help="hmac-sha256 (default), hmac-sha384, hmac-sha512",
    )
    parser.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        type=Path,
        help="print the key of FILE, a secret-file or a BIND key block, instead of making a new one",
    )
    parser.add_argument(
        "--format",
        choices=list(_TEMPLATES),
        default="toml",
        help='whose configuration it is for (default: toml, ours); "secret" is what a secret-file holds',
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write a new file only you can read")


def main(args: argparse.Namespace) -> int:
    """0 with the key on standard output or in FILE; 2 where a file cannot be read, or exists or cannot be written."""
    name = names.fold(names.from_text(args.name))
    key = _new_key(name, args.algorithm) if args.source is None else _key_of_file(args.source, name, args.algorithm)
    if key is None:
        return USAGE
    if key.algorithm in _WEAK:
        print(f"warning: {key.algorithm} is weak; take it only where the other end knows no better", file=sys.stderr)
    text = format_key(key, args.format)
    if args.output is None:
        print(text, end="")
        return GOOD
    try:
        _write_private(args.output, text)
    except FileExistsError:
        print(f"{args.output} exists and is left as it is; choose another name or remove it first", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"{args.output} cannot be written: {error.strerror}", file=sys.stderr)
        return USAGE
    print(f"wrote {args.output}: key {names.to_text(key.name)}, {key.algorithm}, fingerprint {key.fingerprint}")
    return GOOD


def _new_key(name: bytes, algorithm: str | None) -> TsigKey:
    """A secret as long as the digest: shorter weakens the MAC, longer adds nothing (RFC 2104 §3)."""
    algorithm = algorithm or _DEFAULT_ALGORITHM
    return TsigKey(name, algorithm, secrets.token_bytes(ALGORITHMS[algorithm].digest_size))


def _key_of_file(path: Path, name: bytes, algorithm: str | None) -> TsigKey | None:
    """The key that stands in a file, or None after saying on standard error why it cannot be had."""
    from nameserver.config.one_key import BadValue, read_key  # here: a new key needs nothing of the configuration

    try:
        key, warnings = read_key(path, name, algorithm)
    except BadValue as bad:
        print(bad, file=sys.stderr)
        return None
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return key


def format_key(key: TsigKey, form: str) -> str:
    """The key in one of the forms toml, bind, nsd, knot, pdns, secret. The result contains the secret."""
    text = _TEMPLATES[form].format(
        name=names.to_text(key.name),
        algorithm=key.algorithm,
        secret=base64.b64encode(key.secret).decode("ascii"),
        weak="allow-weak = true\n" if key.algorithm in _WEAK else "",
    )
    return text if form == "secret" else f"# {key.algorithm}, fingerprint {key.fingerprint}\n{text}"


def _write_private(path: Path, text: str) -> None:
    """Create `path` with mode 0600, whatever the umask; never touch what is there, also not through a link."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        os.fchmod(handle, 0o600)
        file.write(text)


def _key_name(text: str) -> str:
    if not _KEY_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("a key's name has letters, digits, - _ and . only")
    try:
        names.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _algorithm(text: str) -> str:
    name = text.lower()
    name = name if name.startswith("hmac-") else f"hmac-{name}"
    if name not in ALGORITHMS:
        raise argparse.ArgumentTypeError(f"unknown algorithm; known are {', '.join(ALGORITHMS)}")
    return name
