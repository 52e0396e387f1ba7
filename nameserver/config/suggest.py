"""The nearest known name for one that is not known, and how untrusted text is shown."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_KEY_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# What a secret in the wrong place looks like: base64 with its padding, "hmac-sha256:name:secret" as tools take it, or
# a long run of base64's letters. Of these runs, names of people's making have no capitals or no digits, and so stay
# shown; that key material of 20 letters has none either happens once in thirty times, of 43 letters once in a thousand.
_PADDED = re.compile(r"[A-Za-z0-9+/]{8,}=+")
_ALGORITHM_PREFIX = re.compile(r"\b(?:md5|sha-?[0-9]+)[a-z0-9.-]*:", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9+/]{20,}")
_CAPITAL, _DIGIT = re.compile(r"[A-Z]"), re.compile(r"[0-9+]")
_BASE64_ALONE = re.compile(r"[A-Za-z0-9+/]+=*")
NOT_SHOWN = "(not shown)"
_LONGEST_SHOWN = 120

# What the same thing is called in other servers' configuration.
_ELSEWHERE = {
    "request-xfr": "primaries",
    "primary": "primaries",
    "provide-xfr": "allow-transfer",
    "allow-axfr-ips": "allow-transfer",
    "notify": "also-notify",
    "zonefile": "file",
    "allow-notify-from": "allow-notify",
    "transfer-source": "source",
    "database": "state-dir",
    "listen-on": "listen",
    "ip-address": "listen",
    "port": "listen",
    "addresses": "address",
    "pattern": "template",
    "include-pattern": "template",
}

# The old words of the field for primary and secondary are understood, because files that are carried over are full of
# them. They are never printed: what we write is the new word alone. (The one place that knows them, knowingly.)
_OLD_WORDS = {
    "master": ("primaries", "primary", "remote"),
    "masters": ("primaries", "primary", "remote"),
    "slave": ("secondary", "also-notify", "remote"),
    "slaves": ("secondary", "also-notify", "remote"),
}


def is_old_word(name: str) -> bool:
    """Whether `name` is a word that is understood but not printed."""
    return name.lower().strip() in _OLD_WORDS


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None where nothing is near."""
    known = list(known)
    plain = name.lower().replace("_", "-").strip()
    if plain in known:
        return plain
    for elsewhere in _OLD_WORDS.get(plain) or (_ELSEWHERE.get(plain),):
        if elsewhere in known:
            return elsewhere
    folded = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(plain, folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """', did you mean "primaries"?', or the known names where they are few, or nothing."""
    known = sorted(candidate for candidate in known if not _may_be_folded_secret(candidate))
    match = nearest(name, known)
    if match is not None:
        return f', did you mean "{printable(match)}"?'
    if known and len(known) <= 8:
        return f" (known: {', '.join(printable(candidate) for candidate in known)})"
    return ""


def printable(text: str) -> str:
    """`text` on one line: control characters escaped, very long text cut."""
    if len(text) > _LONGEST_SHOWN:
        text = text[:_LONGEST_SHOWN] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def may_be_secret(text: str) -> bool:
    """Whether `text` could hold key material; ordinary names, however long, are none."""
    if _PADDED.search(text) or _ALGORITHM_PREFIX.search(text):
        return True
    return any(_CAPITAL.search(run) and _DIGIT.search(run) for run in _RUN.findall(text))


def may_be_secret_file(name: str) -> bool:
    """The same of what should be the name of a file, in which "/" parts words."""
    return any(map(may_be_secret, name.split("/"))) or (bool(_BASE64_ALONE.fullmatch(name)) and may_be_secret(name))


def _may_be_folded_secret(name: str) -> bool:
    """The same of a name that was folded to small letters, as names of keys are: not good enough for a suggestion."""
    return may_be_secret(name) or any(map(_DIGIT.search, _RUN.findall(name)))


def shown(text: str) -> str:
    """`text` quoted for an error, unless it could be a secret in the wrong place."""
    return "a value that is not shown (it looks like a secret)" if may_be_secret(text) else f'"{printable(text)}"'


def named(kind: str, name: str) -> str:
    """'remote "primary-a"', without the name where it could be a secret in the wrong place."""
    if may_be_secret(name):
        return f"{kind} of that name (it is not shown, it looks like a secret)"
    return f'{kind} "{printable(name)}"'


def name_fault(text: str, error: ValueError) -> str:
    """Why `text` is no domain name; the error quotes it, which must not be where it could be a secret."""
    return "is not a domain name; it is not shown, it looks like a secret" if may_be_secret(text) else str(error)


def shown_file(name: str) -> str:
    """The name of a file for an error, unless it could be a secret in the wrong place."""
    return "the file (its name is not shown, it looks like a secret)" if may_be_secret_file(name) else printable(name)


def dotted(path: Iterable[str | int]) -> str:
    """A path as TOML writes it, list positions in brackets: `zone."example.com".allow-transfer[0].key`."""
    path = tuple(path)
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if may_be_secret(part) or (text and path[0] == "key" and not _KEY_NAME.fullmatch(part)):
            # base64 or "algorithm:name:secret" where the name of a key, remote or zone belongs
            text += f'."{NOT_SHOWN}"' if text else f'"{NOT_SHOWN}"'
            continue
        quoted = part if _BARE_KEY.fullmatch(part) else '"' + printable(part).replace('"', '\\"') + '"'
        text += f".{quoted}" if text else quoted
    return text
