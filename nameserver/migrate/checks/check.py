"""`migrate check`: the way to one server and its permission, step by step, as far as the first message of a transfer.

    UDP ─ SOA ─▶ EDNS sizes ─▶ TCP ─ SOA ─┐
    TLS ─ who is there? ─▶ SOA over TLS ──┴─▶ signed SOA ─▶ AXFR, first message

The second way is that of a remote with `tls` in our configuration: nothing goes to it in plain. Each step ends well or
in one reason of the closed vocabulary, which is the one that a transfer would end in; the first that fails decides, for
what comes after it mostly fails for the same reason.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dns.name

from nameserver.config.model import Endpoint, PullLimits, Remote, ZoneConfig
from nameserver.errors import Reason, TransferError
from nameserver.migrate.asking.asking import Asker
from nameserver.migrate.checks import check_edns, check_tls
from nameserver.migrate.checks.check_notify import NOTIFY
from nameserver.migrate.checks.check_step import TLS, Step
from nameserver.migrate.report import Level, Report, Table
from nameserver.server.zones import pull
from nameserver.server.zones.dialogue import Peer
from nameserver.telemetry.advice import advise, describe_skew
from nameserver.transfer.inbound import InboundTransfer, TransferKind
from nameserver.wire import codes, names
from nameserver.wire.failures import rcode_failure
from nameserver.wire.response import SoaResponse
from nameserver.wire.tsig import StreamVerifier, TsigKey

SKEW_WARNING = 30.0  # seconds
SHORT_LIFE = 7 * 86400  # seconds
CERTIFICATE_WARNING = 14 * 86400.0  # seconds
UDP, TCP, SIGNED, TRANSFER = "SOA over UDP", "SOA over TCP", "signed SOA", "AXFR, first message"
OVER_TLS = "SOA over TLS"


@dataclass(frozen=True, slots=True)
class Measured:
    """All steps towards one address, and how far its clock is ahead of ours in seconds, where a signature told.

    `certificate_expires`: Unix seconds, of the one that the server showed; `ours`: what to tell of ours, where its
    other end has to know it.
    """

    endpoint: Endpoint
    steps: list[Step]
    skew: float | None
    certificate_expires: float | None = None
    ours: str = ""


class _Enough(Exception):
    """The first message of a transfer was as it has to be."""


async def measure(
    asker: Asker,
    zone: dns.name.Name,
    endpoint: Endpoint,
    key: TsigKey | None,
    limits: PullLimits,
    remote: Remote | None = None,
) -> Measured:
    """Take the steps, one after the other. Never raises for what a server does.

    `remote`: the one of our configuration that is there, which says whether it is spoken to over TLS, and from where.
    """
    wire = names.fold(zone.to_wire() or b"")
    config = ZoneConfig(wire, names.to_text(wire), pull=limits)
    source = asker.source_for(endpoint) or (remote.source if remote else None)
    tls = remote.tls if remote else None
    known = Remote(str(endpoint), (endpoint,), (key,) if key else (), source=source, tls=tls)
    plain, signed = Peer(known, endpoint, None), Peer(known, endpoint, key)
    if tls is not None:
        steps = [await check_tls.handshake(plain, limits)]
        if steps[0].reason is None:
            steps.append(await _soa(OVER_TLS, plain, config))
    else:
        steps = [await _soa(UDP, plain, config)]
        if steps[0].reason is None:
            steps += await check_edns.measure(asker, zone, endpoint)
        steps.append(await _soa(TCP, plain, config))
    if tls is None or steps[0].reason is None:  # whoever is not the one expected is asked nothing
        if key is not None:
            steps.append(await _soa(SIGNED, signed, config, tcp=steps[0].reason is not None))
        steps.append(await _transfer(signed, config))
    return Measured(endpoint, steps, signed.skew, plain.certificate_expires, check_tls.ours(tls))


async def _soa(name: str, peer: Peer, config: ZoneConfig, *, tcp: bool = False) -> Step:
    over_stream = tcp or name in (TCP, OVER_TLS) or peer.remote.tls is not None
    ask = pull.soa_over_tcp if over_stream else pull.soa_over_udp
    try:
        response = await ask(peer, config, config.pull)
        _judge_soa(response)
    except TransferError as error:
        return Step(name, error.reason, error.detail or str(error.reason))
    edns = "" if response.has_edns else ", without EDNS"
    expire = int.from_bytes(response.soa_rdata[-8:-4], "big") if response.soa_rdata else None
    return Step(name, None, f"serial {response.serial}{edns}", response.serial, expire)


def _judge_soa(response: SoaResponse) -> None:
    if response.rcode != codes.NOERROR:
        raise rcode_failure(response.rcode)
    if not response.authoritative:
        raise TransferError(Reason.NOT_AUTHORITATIVE, "the answer has no AA")
    if response.serial is None and not response.truncated:
        raise TransferError(Reason.NO_SOA, "the answer holds no SOA of the zone")


async def _transfer(peer: Peer, config: ZoneConfig) -> Step:
    heard: list[InboundTransfer] = []

    class First(InboundTransfer):
        """Stops after one good message."""

        def feed(self, message: bytes, now: int) -> bool:
            done = super().feed(message, now)
            if not done:
                raise _Enough
            return done

    def make_inbound(query_id: int, verifier: StreamVerifier | None) -> InboundTransfer:
        inbound = First(config.name, TransferKind.AXFR, query_id, None, config.limits, verifier)
        heard.append(inbound)
        return inbound

    try:
        await pull.transfer(peer, config, TransferKind.AXFR, None, make_inbound)
    except _Enough:
        pass
    except TransferError as error:
        return Step(TRANSFER, error.reason, error.detail or str(error.reason))
    stats = heard[-1].stats
    return Step(
        TRANSFER, None, f"serial {heard[-1].serial}, {stats.records} records, {stats.bytes} octets", heard[-1].serial
    )


def judge(zone: dns.name.Name, measured: Sequence[Measured], key: TsigKey | None) -> Report:
    """The first step that fails at each address, in the words of its reason."""
    report = Report("check", zone.to_text(omit_final_dot=True))
    rows: list[tuple[str, ...]] = []
    tones: dict[int, Level] = {}
    for server in measured:
        for step in server.steps:
            if step.reason is not None or step.unknown:
                tones[len(rows)] = Level.WARNING if step.unknown else Level.FAULT
            rows.append((str(server.endpoint), step.name, step.result, step.detail))
        _judge_server(report, zone, server, key)
    report.tables.append(Table("", ("ADDRESS", "STEP", "RESULT", "DETAIL"), tuple(rows), tones))
    report.facts = {
        "servers": {str(server.endpoint): {step.name: step.result for step in server.steps} for server in measured},
        "over": "TLS" if any(step.name == TLS for server in measured for step in server.steps) else "UDP and TCP",
        "key": names.to_text(key.name) if key else None,
        "key_fingerprint": key.fingerprint if key else None,
    }
    report.measured = {"skew": {str(server.endpoint): server.skew for server in measured}}
    report.unreachable = all(_silent(server) for server in measured)
    over = " over TLS" if report.facts["over"] == "TLS" else ""
    signed = f", signed with {names.to_text(key.name)}" if key else ""
    report.verdict = f"Every step is good: the zone can be transferred{over}{signed}."
    if any(step.unproven for server in measured for step in server.steps):
        largest = min(check_edns.proven(server.steps) for server in measured)
        told = f"answers over UDP are proven to come through up to {largest} octets"
        report.verdict = f"The zone can be transferred{over}{signed}; {told}."
    if any(step.unknown for server in measured for step in server.steps):
        report.verdict = f"The zone can be transferred{over}{signed}; whether its NOTIFYs reach us is not known."
    if report.exit_code and {step.name for server in measured for step in server.steps if step.reason} == {NOTIFY}:
        report.verdict = "The zone can be transferred, but nobody tells us when it changes."
    elif report.exit_code:
        report.verdict = "The zone cannot be transferred from every address as it has to be."
    return report


def _silent(server: Measured) -> bool:
    return all(step.reason in _NO_CONTACT for step in server.steps if step.name != NOTIFY)


_ABOUT_KEYS = {
    Reason.REFUSED,
    Reason.NOTAUTH_ZONE,
    Reason.TSIG_BADKEY,
    Reason.TSIG_BADSIG,
    Reason.TSIG_BADALG,
    Reason.TSIG_MISSING,
}
_NO_CONTACT = {Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE}


def _judge_server(report: Report, zone: dns.name.Name, server: Measured, key: TsigKey | None) -> None:
    by_name = {step.name: step for step in server.steps}
    failed = next((step for step in server.steps if step.reason is not None), None)
    if failed is not None and failed.reason is not None:
        advice = advise(
            failed.reason,
            zone=report.zone,
            address=str(server.endpoint),
            key=names.to_text(key.name) if key else None,
            fingerprint=key.fingerprint if key else None,
            skew=server.skew,
        )
        advice = failed.words or advice
        step = advice.next_step
        udp, tcp = by_name.get(UDP), by_name.get(TCP)
        if failed is tcp and udp and udp.reason is None and tcp.reason in _NO_CONTACT:
            step = f"UDP answers, TCP does not: firewall. Open TCP port {server.endpoint.port} on the way (RFC 7766)."
        elif failed is udp and tcp and tcp.reason is None and udp.reason in _NO_CONTACT:
            step = f"TCP answers, UDP does not: firewall. Open UDP port {server.endpoint.port} on the way."
        elif failed.name.startswith("EDNS") and failed.reason in _NO_CONTACT:
            step = "Answers of this size are lost on the way: let fragments pass, or have the server send less (1232)."
        if failed.reason in (Reason.TLS_HANDSHAKE, Reason.CLOSED_EARLY) and server.ours:
            step = f"{step} {server.ours}"
        if failed.reason in _ABOUT_KEYS and key is not None and key.fingerprint not in step:
            step = f"{step} Our key {names.to_text(key.name)} has the fingerprint {key.fingerprint}."
        text = f"{server.endpoint}: {failed.name}: {failed.detail}. {advice.meaning}"
        report.add(Level.FAULT, str(failed.reason), text, step)
    if any(each.unproven for each in server.steps):
        largest = check_edns.proven(server.steps)
        text = (
            f"{server.endpoint}: the largest answer over UDP has {largest} octets: what is larger is not proven to come"
        )
        report.add(Level.NOTE, "edns-unproven", text, "With large answers in the zone (keys, long TXT) it would be.")
    for each in server.steps:
        if each.unknown:
            step = each.words.next_step if each.words else ""
            report.add(Level.WARNING, "notify-unknown", f"{each.name}: {each.detail}", step)
    if server.skew is not None and abs(server.skew) > SKEW_WARNING:
        text = f"the clock at {server.endpoint} is {describe_skew(server.skew)}"
        step = "Run NTP on both ends: beyond 300 s no signature holds (RFC 8945 §10)."
        report.add(Level.WARNING, "clock-skew", text, step)
    lives = {step.expire for step in server.steps if step.expire is not None}
    if lives and min(lives) < SHORT_LIFE:
        text = f"{server.endpoint}: by its SOA's expire we answer for {min(lives)} s once it is gone, then no more"
        report.add(Level.WARNING, "soa-timer", text, "1209600 to 2419200 s are usual (RFC 1912 §2.2).")
    left = None if server.certificate_expires is None else server.certificate_expires - time.time()
    if left is not None and left < CERTIFICATE_WARNING:
        text = f"the certificate at {server.endpoint} ends in {max(0, int(left // 86400))} days"
        report.add(Level.WARNING, "certificate-expiring", text, "Have it renewed there.")
    serials = {step.serial for step in server.steps if step.serial is not None}
    if len(serials) > 1:
        text = f"{server.endpoint} answers with serials {', '.join(map(str, sorted(serials)))}"
        report.add(Level.WARNING, "serials-vary", text, "Several servers share this address, or the zone just changed.")
