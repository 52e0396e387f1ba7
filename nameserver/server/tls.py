"""TLS for transfers (RFC 9103): contexts of both sides, and what a failure of one comes to.

Only TLS 1.3 (§7.1), only ALPN "dot" (RFC 7858 §3.2, RFC 9103 §7.1), no resumption: each connection shows anew who is
there, so that a certificate that is taken back is of no use from the next connection on. What fails never goes on
without TLS: whoever gets an error here has no connection.
"""

import ssl
from functools import lru_cache

from nameserver.config.model import ServerTls, TlsPeer
from nameserver.config.pem import load_pair
from nameserver.errors import Reason, TransferError
from nameserver.query.acl import TlsClient
from nameserver.wire.certificate import expires_at, spki_pin

ALPN = "dot"
CONTEXTS = 256  # of remotes, kept; to read a hundred authorities takes some milliseconds
# What the other side says of our certificate in its alert, as OpenSSL's reasons name it.
_OURS_REFUSED = (
    "CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED", "UNSUPPORTED_CERTIFICATE", "ACCESS_DENIED",
)  # fmt: skip


@lru_cache(maxsize=CONTEXTS)
def client_context(peer: TlsPeer) -> ssl.SSLContext:
    """What connections to a remote are made with. Raises TransferError where it cannot be made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.check_hostname = bool(peer.server_name)
    context.hostname_checks_common_name = False  # RFC 8310 §8.1: the subject itself must not be looked at
    try:
        if not peer.server_name and not peer.ca:
            context.verify_mode = ssl.CERT_NONE  # the pin is looked at after the handshake
        elif peer.ca:
            context.load_verify_locations(cadata=peer.ca)
            # A file that holds the remote's own certificate trusts that one, whoever issued it.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if peer.certificate is not None:
            load_pair(context, peer.certificate.chain, peer.certificate.key)
    except (ssl.SSLError, OSError) as error:
        raise TransferError(Reason.TLS_HANDSHAKE, f"our own TLS settings cannot be used: {error}") from error
    return context


def read_authorities_again() -> None:
    """Have the next connections to remotes go by the authorities that the system knows by then."""
    client_context.cache_clear()


def server_context(settings: ServerTls) -> ssl.SSLContext:
    """What clients are received with. Raises ssl.SSLError, OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.num_tickets = 0
    load_pair(context, settings.certificate.chain, settings.certificate.key)
    if settings.client_ca:
        required = settings.require_client_certificate
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=settings.client_ca)
    return context


def check_primary(secured: ssl.SSLObject, peer: TlsPeer) -> float | None:
    """What is left to be judged once the handshake is done; when the remote's certificate ends, in Unix seconds.

    Raises TransferError: tls-handshake for a server that did not agree to "dot", tls-peer-identity for another key.
    """
    agreed = secured.selected_alpn_protocol()
    if agreed != ALPN and (agreed is not None or peer.require_alpn):
        text = 'it did not agree to ALPN "dot": this is no DNS over TLS, or a server that needs require-alpn = false'
        raise TransferError(Reason.TLS_HANDSHAKE, text)
    shown = secured.getpeercert(binary_form=True)
    if shown is None:
        raise TransferError(Reason.TLS_PEER_IDENTITY, "it showed no certificate")
    if peer.pins and spki_pin(shown) not in peer.pins:
        raise TransferError(Reason.TLS_PEER_IDENTITY, "the key of its certificate is none of those pinned")
    return expires_at(shown)


def client_of(secured: ssl.SSLObject) -> TlsClient:
    """Who came, by the certificate that was verified; nobody in particular without one."""
    shown = secured.getpeercert(binary_form=True)
    if shown is None:
        return TlsClient()
    named = (secured.getpeercert() or {}).get("subjectAltName", ())
    names = frozenset(str(each[1]).lower() for each in named if isinstance(each, tuple) and each[0] == "DNS")
    return TlsClient(names, spki_pin(shown))


def tls_failure(error: ssl.SSLError) -> TransferError:
    """An error of OpenSSL's as a reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransferError(Reason.TLS_PEER_IDENTITY, f"its certificate is not accepted: {error.verify_message}")
    reason = error.reason or "no TLS"
    if "ALERT" in reason and any(word in reason for word in _OURS_REFUSED):
        what = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        return TransferError(Reason.TLS_HANDSHAKE, f"it does not accept our certificate ({what})")
    text = _MEANINGS.get(reason) or reason.replace("_", " ").lower()
    return TransferError(Reason.TLS_HANDSHAKE, f"TLS: {text}")


_MEANINGS = {
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.3",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.3",
    "WRONG_VERSION_NUMBER": "what it sends is no TLS",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection without a word",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": 'it knows no ALPN "dot": this is no DNS over TLS',
    "NO_APPLICATION_PROTOCOL": 'it knows no ALPN "dot": this is no DNS over TLS',
}
