"""`nameserver why ZONE`: why a zone is in the state it is in, what to do about it, and what happens next."""

import argparse
from typing import Any

from nameserver.cli import remote
from nameserver.cli.present import Palette, facts, safe
from nameserver.cli.status import (
    TONES,
    downstream_lines,
    full_moment,
    notify_text,
    pause_text,
    primary_lines,
    transfer_text,
    troubled,
)
from nameserver.errors import Reason
from nameserver.telemetry import words
from nameserver.telemetry.advice import Advice, advise
from nameserver.telemetry.status import DownstreamStatus, PrimaryStatus, ServerStatus, ZoneStatus

_MEANINGS = {
    "serving": "The zone is answered, and its version is confirmed.",
    "refreshing": "A check or transfer is running right now.",
    "retrying": "The last check failed. The version in hand is still answered.",
    "serial-backwards": "Every primary that answers has an older serial than ours. Our version is still answered.",
    "never-transferred": "No version was ever received, so queries get SERVFAIL.",
    "expired": "No primary confirmed the version in time (SOA expire), so queries get SERVFAIL.",
    "not-loaded": "The zone's file could not be read, so queries get SERVFAIL.",
    "paused": "The zone is silent by command, for a trial. Checks, transfers and NOTIFY go on.",
}
_UNSTORED = (
    "What was stored of it is lost: it is answered from memory alone, until it expires or the server is restarted."
)
_FILE_NOT_TAKEN = "The zone is answered as its file had it before; the file as it is now was not taken."

SENDERS = 3  # of NOTIFYs that are shown, the last ones


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("zone", metavar="ZONE")
    remote.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """0 when the zone is as it should be, 1 when not, 2 for usage, 3 without a server."""
    return remote.run(args, lambda: _why(args))


def _why(args: argparse.Namespace) -> int:
    answer = remote.ask(args, "status", zone=args.zone)
    server = ServerStatus.from_json(answer["server"])
    zone = ZoneStatus.from_json(answer["zones"][0])
    if args.json:
        remote.print_json(explanation(zone, server.now))
    else:
        print("\n".join(lines(zone, server.now, Palette.of())))
    return remote.FINDING if troubled(zone) else remote.GOOD


def meaning(zone: ZoneStatus) -> str:
    """What the zone's state means, in a sentence."""
    if zone.type == "primary" and zone.state == "serving":
        return _FILE_NOT_TAKEN if zone.last_reason else "The zone is answered as its file had it when it was last read."
    text = _MEANINGS.get(zone.state, "The server gives a state that this command does not know.")
    if zone.state == "refreshing" and not zone.answering:
        text += " Until it succeeds, queries get SERVFAIL."
    if zone.pause is not None and zone.state != "paused":
        text += f" While it is paused, they get {zone.pause.answer.upper()}."
    if zone.unstored and zone.answering:
        text += f" {_UNSTORED}"
    return text


def what_next(zone: ZoneStatus, now: float) -> list[str]:
    """What happens next without anybody's doing, in sentences."""
    sentences: list[str] = []
    if zone.type == "primary":
        sentences.append("The file is read again on: nameserver reload")
    elif zone.state == "refreshing":
        sentences.append("The running check decides.")
    elif zone.next_refresh is not None:
        due = words.moment(zone.next_refresh, now) if zone.next_refresh > now else "at once"
        sentences.append(f"The next check starts {due}, or earlier on a NOTIFY.")
    if zone.unstored and zone.type != "primary":
        sentences.append("The zone is fetched again whole from the first primary that answers.")
    if zone.pause is not None:
        when = full_moment(zone.pause.until, now)
        sentences.append(f"The pause ends by itself {when}, or at once on: nameserver resume {zone.name}")
    at_risk = troubled(zone) if zone.answering else zone.state == "paused" and zone.last_reason is not None
    if zone.expires is not None and at_risk:
        sentences += _expiry(zone, full_moment(zone.expires, now))
    if zone.state == "expired":
        sentences.append("As soon as a primary answers, the zone is live again, whatever its serial.")
    if zone.type != "primary":
        sentences.append(f"To check now: nameserver refresh {zone.name}")
    return sentences


def _expiry(zone: ZoneStatus, when: str) -> list[str]:
    if zone.state != "serial-backwards":
        return [f"Unless a primary is reached, the zone expires {when}; from then on queries get SERVFAIL."]
    return [
        f"Unless a primary confirms the zone, it expires {when}; from then on queries get SERVFAIL, "
        "until a primary's version is taken, at its lower serial too.",
        f"To take the lower serial now: nameserver retransfer {zone.name}",
    ]


def _advice(zone: ZoneStatus, primary: PrimaryStatus | None) -> Advice | None:
    """The advice on a primary's last failure; without a primary, on the zone's."""
    if primary is None:
        return advise(zone.last_reason, zone=zone.name, zone_type=zone.type) if zone.last_reason else None
    if not primary.last_reason:
        return None
    return advise(
        primary.last_reason,
        zone=zone.name,
        address=primary.address,
        key=primary.key,
        fingerprint=primary.key_fingerprint,
        skew=primary.skew,
    )


def _zone_advice(zone: ZoneStatus) -> Advice | None:
    """The zone's own failure, unless one of its primaries' accounts for it."""
    told = {primary.last_reason for primary in zone.primaries}
    return None if zone.last_reason in told else _advice(zone, None)


def explanation(zone: ZoneStatus, now: float) -> dict[str, Any]:
    """Everything as JSON: the zone's status, and "meaning", "advice" and "next" as sentences."""
    found: list[tuple[str | None, str | None, Advice | None]] = [
        (primary.name, primary.last_reason, _advice(zone, primary)) for primary in zone.primaries
    ]
    found.append((None, zone.last_reason, _zone_advice(zone)))
    return {
        "zone": zone.to_json(),
        "meaning": meaning(zone),
        "advice": [
            {"primary": name, "reason": reason, "meaning": advice.meaning, "next_step": advice.next_step}
            for name, reason, advice in found
            if advice is not None
        ],
        "next": what_next(zone, now),
    }


def lines(zone: ZoneStatus, now: float, palette: Palette) -> list[str]:
    """Everything for people."""
    serial = "" if zone.serial is None else f", serial {zone.serial}"
    state = palette.paint(safe(zone.state), TONES.get(zone.state, "bad"))
    result = [f"{palette.paint(safe(zone.name), 'bold')}: {state}{serial}", meaning(zone), ""]
    result += facts(
        [
            ("confirmed", full_moment(zone.last_success, now) or "never"),
            ("changed", full_moment(zone.last_change, now) or "never"),
            ("last transfer", transfer_text(zone.last_transfer, now)),
            *(("NOTIFY", notify_text(each, now)) for each in zone.notifies[-SENDERS:]),
            ("failures", f"{zone.failures} in a row" if zone.failures else ""),
        ],
        palette,
        "  ",
    )
    if zone.pause is not None:
        asked = f"{words.queries(zone.pause.queries)} came meanwhile, and {zone.pause.control_queries:,} of peers"
        result += ["", palette.paint(f"Paused: {pause_text(zone.pause, now)}; {asked}", "warn")]
    if zone.override:
        result += ["", palette.paint(safe(f"The zone was {zone.override}"), "warn")]
    own = _zone_advice(zone)
    if own is not None:
        detail = f": {zone.last_detail}" if zone.last_detail else ""
        result += ["", palette.paint(safe(f"{zone.last_reason}{detail}"), "warn"), *_advice_lines(own, palette)]
    for primary in zone.primaries:
        result += ["", *primary_lines(primary, now, palette)]
        advice = _advice(zone, primary)
        if advice is not None:
            result += _advice_lines(advice, palette)
    for downstream in zone.downstreams:
        result += ["", *downstream_lines(downstream, now, palette)]
        if (sentence := _below(downstream, zone.serial)) is not None:
            result += facts([("this means", safe(sentence))], palette, "  ", len("next check"))
    result += ["", palette.paint("What happens next", "bold")]
    return result + [f"  {safe(sentence)}" for sentence in what_next(zone, now)]


def _below(downstream: DownstreamStatus, serial: int | None) -> str | None:
    """What it means that a server below us has not got the version; None where it has, or need not be told."""
    if downstream.has_it or not downstream.is_told:
        return None
    if downstream.notified_serial != serial:
        silent = downstream.check_reason == Reason.CONNECT_TIMEOUT
        return f"It has not confirmed the NOTIFY of this version yet{' and does not answer' if silent else ''}."
    if downstream.notify_reason:
        return _NOT_TOLD.get(downstream.notify_reason, _NOT_TOLD[""])
    if downstream.check_reason and downstream.serial is None:
        return "It was told, and does not say what it has: nameserver_downstream_lag_seconds goes by what it fetches."
    return "It was told, and has not taken the version: see its log, and whether allow-transfer here has it in."


_NOT_TOLD = {
    "refused": "It answers, and does not take NOTIFY from here: add this server to its primaries or its allow-notify.",
    "notauth-zone": "It does not serve the zone.",
    "connect-refused": "Nothing listens there: check the address and port, and that it runs.",
    "connect-timeout": "No answer: it is down, or packets to it are dropped. It finds out at its next refresh.",
    "": "It could not be told. It finds out at its next refresh.",
}


def _advice_lines(advice: Advice, palette: Palette) -> list[str]:
    pairs = [("this means", safe(advice.meaning)), ("what to do", palette.paint(safe(advice.next_step), "bold"))]
    return facts(pairs, palette, "  ", len("last success"))  # as wide as the names of `primary_lines`
