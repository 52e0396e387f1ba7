"""The nearest known name for one that is not known, and how untrusted text is shown."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_KEY_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# A run this long of base64's letters may be a secret that was put into the wrong place.
_SECRET_LIKE = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}|[A-Za-z0-9+/]{8,}=+")
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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None where nothing is near."""
    known = list(known)
    plain = name.lower().replace("_", "-").strip()
    if plain in known:
        return plain
    elsewhere = _ELSEWHERE.get(plain)
    if elsewhere in known:
        return elsewhere
    folded = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(plain, folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """', did you mean "primaries"?', or the known names where they are few, or nothing."""
    known = sorted(known)
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
    """Whether `text` holds a run that could be key material."""
    return _SECRET_LIKE.search(text) is not None


def shown(text: str) -> str:
    """`text` quoted for an error, unless it could be a secret in the wrong place."""
    return "a value that is not shown (it looks like a secret)" if may_be_secret(text) else f'"{printable(text)}"'


def dotted(path: Iterable[str | int]) -> str:
    """A path as TOML writes it, list positions in brackets: `zone."example.com".allow-transfer[0].key`."""
    path = tuple(path)
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if text and path[0] == "key" and not _KEY_NAME.fullmatch(part):
            text += '."(not shown)"'  # base64 or "algorithm:name:secret" where the name of a key belongs
            continue
        quoted = part if _BARE_KEY.fullmatch(part) else '"' + printable(part).replace('"', '\\"') + '"'
        text += f".{quoted}" if text else quoted
    return text
