"""Domain names in wire form: reading them, compression pointers included, and comparing and showing them.

Pointers are followed here, and in `nameserver.wire.rdata` where the names of one transfer message share their ends.

A name is `bytes`: length-prefixed labels and a final zero, at most 255 octets, never compressed, in the sender's case.
*Folding* is `bytes.lower()`: length octets are below 64 and so never letters.

How reading stays bounded, whatever arrives (RFC 1035 §4.1.4 says pointers point to a *prior* occurrence):

    message  …[3 w w w][7 e x a m p l e][0]…[4 m a i l][C0 →]…[C0 →]
                        ^───────────────────────────────┘       |
                                             ^──────────────────┘
    each pointer must point below the start of the run of labels it ends, so runs only ever lie further to the front;
    the labels read so far may not exceed 255 octets; and no name is made of more than 128 runs.
"""

import re

from nameserver.errors import WireError

ROOT = b"\x00"
MAX_NAME = 255  # octets of a name, its final zero included (RFC 1035 §2.3.4)
MAX_POINTERS = 128  # a name has at most 127 labels, so a useful pointer chain is never longer

_SPECIAL = frozenset(b'"().;\\@$')
_CHARACTER = [
    f"\\{chr(octet)}" if octet in _SPECIAL else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03d}"
    for octet in range(256)
]

_PLAIN_TEXT = re.compile(r"(?:[0-9A-Za-z_-]{1,63}\.)*[0-9A-Za-z_-]{1,63}\.?").fullmatch
_PLAIN_LABEL = re.compile(rb"[0-9A-Za-z_-]+").fullmatch
_LONGEST_PLAIN = MAX_NAME - 2  # characters, without the trailing dot

_PROBLEMS = {
    "EmptyLabel": "two dots follow each other, or it starts with a dot",
    "LabelTooLong": "a label is longer than 63 octets",
    "NameTooLong": "it is longer than 255 octets",
    "BadEscape": "a backslash is followed by neither a character nor three digits up to 255",
}  # what dnspython raises


def read_name(message: bytes, offset: int) -> tuple[bytes, int]:
    """The name at `offset`, decompressed, and the offset of what follows it.

    Raises `WireError` on a name that runs past the end, exceeds 255 octets, uses a reserved label type or a pointer
    that does not point strictly backwards (RFC 1035 §3.1, §4.1.4).
    """
    start = offset
    try:
        length = message[offset]
        while 0 < length < 64:
            offset += length + 1
            if offset - start > 254:
                raise WireError("a name is longer than 255 octets")
            length = message[offset]
        if length == 0:
            offset += 1
            return message[start:offset], offset
        return _read_compressed(message, start, offset), offset + 2
    except IndexError:
        raise WireError("a name runs past the end of the message") from None


def _read_compressed(message: bytes, start: int, offset: int) -> bytes:
    """The rest of `read_name` once a pointer (or a reserved label type) stands at `offset`."""
    runs = [message[start:offset]]
    size = offset - start
    for _ in range(MAX_POINTERS):
        kind = message[offset]
        if kind < 0xC0:
            raise WireError(f"a label has the reserved type 0x{kind:02x}")
        target = (kind & 0x3F) << 8 | message[offset + 1]
        if target >= start:
            raise WireError("a compression pointer does not point backwards")
        start = offset = target
        length = message[offset]
        while 0 < length < 64:
            offset += length + 1
            if size + offset - start > 254:
                raise WireError("a name is longer than 255 octets")
            length = message[offset]
        runs.append(message[start:offset])
        size += offset - start
        if length == 0:
            runs.append(ROOT)
            return b"".join(runs)
    raise WireError(f"a name is made of more than {MAX_POINTERS} compression pointers")


def skip_name(message: bytes, offset: int) -> int:
    """The offset of what follows the name at `offset`; a pointer ends it and is not followed. Raises `WireError`."""
    start = offset
    try:
        length = message[offset]
        while 0 < length < 64:
            offset += length + 1
            if offset - start > 254:
                raise WireError("a name is longer than 255 octets")
            length = message[offset]
    except IndexError:
        raise WireError("a name runs past the end of the message") from None
    if length == 0:
        return offset + 1
    if length < 0xC0:
        raise WireError(f"a label has the reserved type 0x{length:02x}")
    if offset + 2 > len(message):
        raise WireError("a name runs past the end of the message")
    return offset + 2


def read_plain_name(message: bytes, offset: int) -> tuple[bytes, int]:
    """Like `read_name`, where compression is not allowed: a pointer is a `WireError` too."""
    start = offset
    try:
        length = message[offset]
        while 0 < length < 64:
            offset += length + 1
            if offset - start > 254:
                raise WireError("a name is longer than 255 octets")
            length = message[offset]
    except IndexError:
        raise WireError("a name runs past the end of the message") from None
    if length:
        raise WireError("a name is compressed where it must not be")
    offset += 1
    return message[start:offset], offset


def fold(name: bytes) -> bytes:
    """The name in lower case: what is compared and looked up (RFC 4343)."""
    return name.lower()


def label_offsets(name: bytes) -> list[int]:
    """Where each label starts (at its length octet), first label first; the final zero is not one: root gives []."""
    offsets = []
    offset = 0
    while length := name[offset]:
        offsets.append(offset)
        offset += length + 1
    return offsets


def parent(name: bytes) -> bytes:
    """The name without its first label. Raises `ValueError` for the root."""
    if name == ROOT:
        raise ValueError("the root has no parent")
    return name[name[0] + 1 :]


def is_at_or_below(name: bytes, origin: bytes) -> bool:
    """Whether folded `name` is folded `origin` or below it. Labels are compared, not octets: `\\3a.b` is one label."""
    offset = len(name) - len(origin)
    if offset < 0 or not name.endswith(origin):
        return False
    position = 0
    while position < offset:
        position += name[position] + 1
    return position == offset


def relative_key(folded_name: bytes, folded_apex: bytes) -> bytes | None:
    """The zone-relative key: the name without the apex's labels and final zero; b"" at the apex; None outside."""
    if not is_at_or_below(folded_name, folded_apex):
        return None
    return folded_name[: len(folded_name) - len(folded_apex)]


def last_label(key: bytes) -> bytes:
    """The label of a relative key that is next below the apex, its length before it; nothing of the apex's own."""
    while key and len(key) > key[0] + 1:
        key = key[key[0] + 1 :]
    return key


def to_text(name: bytes) -> str:
    """Presentation form (RFC 1035 §5.1) without the trailing dot; "." for the root."""
    if name == ROOT:
        return "."
    character = _CHARACTER
    labels = []
    offset = 0
    while length := name[offset]:
        label = name[offset + 1 : offset + 1 + length]
        labels.append(label.decode() if _PLAIN_LABEL(label) else "".join([character[octet] for octet in label]))
        offset += length + 1
    return ".".join(labels)


def to_text_absolute(name: bytes) -> str:
    """Presentation form with the trailing dot, as zone files need it."""
    return "." if name == ROOT else to_text(name) + "."


def from_text(text: str) -> bytes:
    """The wire form of a name in presentation form, taken as absolute with or without its trailing dot.

    Case is kept. Raises `ValueError` with a sentence that says what is wrong.
    """
    if not text:
        raise ValueError('a name is empty (the root is ".")')
    if len(text) <= _LONGEST_PLAIN and _PLAIN_TEXT(text):  # as most are; a configuration has thousands
        return b"".join([bytes((len(label),)) + label.encode() for label in text.removesuffix(".").split(".")]) + ROOT
    # Here and not above: an answering process never gets here, and is some megabytes smaller without.
    import dns.exception
    import dns.name

    try:
        labels = dns.name.from_text(text, dns.name.root).labels
        return b"".join([bytes((len(label),)) + label for label in labels])
    except dns.exception.DNSException as error:
        problem = _PROBLEMS.get(type(error).__name__, str(error))
        if not text.isascii():
            problem = "a label is too long, or not a valid internationalised one (write it as xn--…)"
    raise ValueError(f"{text!r} is not a domain name: {problem}")
