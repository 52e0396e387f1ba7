"""TSIG (RFC 8945). (being written)"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class TsigKey:
    """A shared secret. Its repr never shows the secret."""

    name: bytes  # folded absolute wire name
    algorithm: str  # "hmac-sha256", …
    secret: bytes

    def __repr__(self) -> str:
        return f"TsigKey(name={self.name!r}, algorithm={self.algorithm!r}, secret=<hidden>)"
