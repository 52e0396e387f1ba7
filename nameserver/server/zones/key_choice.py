"""Which of a remote's two keys signs what we send to it.

While one TSIG key takes another's place, the two ends are never changed at the same moment, so a remote may have both
here. The preferred one signs first; where the remote does not accept it, the other one is tried at the same address at
once, and whichever worked goes first from then on. Never unsigned, and never a key of another remote.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nameserver.config.model import Remote
from nameserver.errors import Reason, TransferError
from nameserver.wire.tsig import TsigKey

PREFERRED_AGAIN_AFTER = 3600.0  # seconds for which a preferred key that failed gives way to the other one
# A wrong clock is none of them: it is as wrong under the other key. REFUSED and NOTAUTH are: the remote may know the
# new key and not yet allow it for the zone, and PowerDNS says NOTAUTH, without TSIG, to any key that it does not know.
OTHER_KEY_MAY_HELP = frozenset({
    Reason.TSIG_BADKEY, Reason.TSIG_BADSIG, Reason.TSIG_BADALG, Reason.TSIG_BADTRUNC, Reason.TSIG_MISSING,
    Reason.REFUSED, Reason.NOTAUTH_ZONE,
})  # fmt: skip


class _Turned(NamedTuple):
    """The second key of `keys` is in use, since the first one failed for `reason`."""

    keys: tuple[TsigKey, ...]
    reason: Reason
    until: float


class KeyChoice:
    """What was learnt of the keys of each remote that has two. Times are seconds of any clock that never steps."""

    def __init__(self) -> None:
        self._turned: dict[str, _Turned] = {}  # by the remote's name

    def to_try(self, remote: Remote, now: float) -> Sequence[TsigKey | None]:
        """The keys in the order in which they are to be tried; None alone for a remote that has none."""
        if not remote.keys:
            return (None,)
        turned = self._of(remote)
        return remote.keys[::-1] if turned is not None and now < turned.until else remote.keys

    def preferred_failed(self, remote: Remote) -> Reason | None:
        """Why the remote's preferred key is not the one in use; None where it is."""
        turned = self._of(remote)
        return None if turned is None else turned.reason

    def worked(self, remote: Remote, key: TsigKey, failed: Sequence[TransferError], now: float) -> None:
        """An exchange with a remote of two keys was good under `key`, after `failed` under the other, if at all."""
        if key == remote.keys[0]:
            self._turned.pop(remote.name, None)
        elif failed:
            self._turned[remote.name] = _Turned(remote.keys, failed[0].reason, now + PREFERRED_AGAIN_AFTER)

    def _of(self, remote: Remote) -> _Turned | None:
        """What is known of these keys: a reload may have given the remote others."""
        turned = self._turned.get(remote.name)
        return turned if turned is not None and turned.keys == remote.keys else None


def in_one(failures: Sequence[TransferError]) -> TransferError:
    """What to say of an exchange that failed under each key tried: the first one's reason, unless the last is no key's.

    Raises IndexError without a failure.
    """
    first, last = failures[0], failures[-1]
    if first is last or last.reason not in OTHER_KEY_MAY_HELP:
        return last
    return TransferError(first.reason, f"{first.detail}; with the remote's other key: {last.detail}")
