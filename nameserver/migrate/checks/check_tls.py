"""`migrate check` of a primary that is spoken to over TLS (RFC 9103): is it there, and is it the one expected?"""

import asyncio
import base64
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from nameserver.config.model import PullLimits, TlsPeer
from nameserver.errors import Reason, TransferError, WireError
from nameserver.migrate.checks.check_step import TLS, Step
from nameserver.server.tls import client_context
from nameserver.server.zones.dialogue import Dialogue, Peer
from nameserver.wire.certificate import expires_at, spki_pin


async def handshake(peer: Peer, limits: PullLimits) -> Step:
    """Connect as a transfer does. Where another than the one expected is there, tell which key that one shows."""
    try:
        dialogue = await Dialogue.connect(peer, limits)
    except TransferError as error:
        detail = error.detail or str(error.reason)
        if error.reason is Reason.TLS_PEER_IDENTITY and (shown := await _shown(peer, limits.connect_timeout)):
            detail = f"{detail.rstrip('.')}; it shows {shown}"
        return Step(TLS, error.reason, detail)
    dialogue.close()
    ends = (
        "" if peer.certificate_expires is None else f", its certificate is good until {_day(peer.certificate_expires)}"
    )
    return Step(TLS, None, f"TLS 1.3{ends}")


def ours(tls: TlsPeer | None) -> str:
    """What the other side has to know of our certificate, as a sentence; "" where we show none."""
    if tls is None or tls.certificate is None:
        return ""
    told = f"ends {_day(tls.certificate.expires)}"
    with suppress(ValueError, WireError):
        told = f"has the key with the pin {_pin(ssl.PEM_cert_to_DER_cert(_first(tls.certificate.chain)))}, {told}"
    return f"The certificate that we show {told}."


async def _shown(peer: Peer, patience: float) -> str:
    """The certificate that is shown there, in words, on a connection on which nothing is asked; "" without one."""
    if peer.remote.tls is None:
        return ""
    context = client_context(replace(peer.remote.tls, server_name="", ca="", pins=(), require_alpn=False))
    local = (peer.remote.source, 0) if peer.remote.source else None
    found = b""
    with suppress(OSError, TimeoutError, TransferError):
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(
                peer.endpoint.host,
                peer.endpoint.port,
                ssl=context,
                local_addr=local,
                server_hostname=peer.remote.tls.server_name,
            )
            found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
            writer.close()
    with suppress(WireError):
        return (
            f"a certificate whose key has the pin {_pin(found)}, good until {_day(expires_at(found))}" if found else ""
        )
    return ""


def _first(chain: str) -> str:
    end = "-----END CERTIFICATE-----"
    return chain[chain.index("-----BEGIN CERTIFICATE") : chain.index(end) + len(end)]


def _pin(der: bytes) -> str:
    return base64.b64encode(spki_pin(der)).decode()


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
