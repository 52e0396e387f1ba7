"""An error RCODE in a primary's answer, as the failure that it is."""

from nameserver.errors import Reason, TransferError
from nameserver.wire import codes

_REASONS = {
    codes.FORMERR: Reason.FORMERR,
    codes.SERVFAIL: Reason.SERVFAIL,
    codes.NXDOMAIN: Reason.NXDOMAIN,
    codes.NOTIMP: Reason.NOTIMP,
    codes.REFUSED: Reason.REFUSED,
    codes.NOTAUTH: Reason.NOTAUTH_ZONE,
    codes.BADVERS: Reason.NOTIMP,  # of EDNS (RFC 6891 §6.1.3)
}


def rcode_failure(rcode: int, note: str = "") -> TransferError:
    """The failure that an RCODE other than NOERROR stands for; `note` is added to its sentence."""
    name = codes.RCODE_NAMES.get(rcode, str(rcode))
    return TransferError(_REASONS.get(rcode, Reason.MALFORMED), f"the primary answered {name}{note}")
