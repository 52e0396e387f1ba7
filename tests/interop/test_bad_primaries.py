"""A primary that breaks one rule per zone, against ours, and beside ours against BIND, Knot and NSD.

`REQUIRED` is what ours has to make of each row of `support.bad_primary.ROWS`: the good serial 5 is held, and

    KEEP   nothing of the new version is published: serial 5 with its content goes on, and the status says why
    TAKE   the new version is published, whole, and nothing that does not belong into it
    AXFR   the incremental transfer is refused, and the full one that follows at once brings the new version

The last test prints what the peers make of the same rows; BAD_PRIMARIES.md is what it printed last.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from support import ask
from support.ask import LOOPBACK, Key
from support.bad_primary import GOOD_SERIAL, HEALED_SERIAL, ROWS, BadPrimary, Phase, Zone, row_of, shown, zone_of
from support.daemon import Nameserver, new_key
from support.peers import requires
from support.secondaries import SECONDARIES, Secondary
from support.wait import wait_for

from nameserver.wire.rrset import Record

pytestmark = pytest.mark.timeout(120)

KEEP, TAKE, AXFR = "keep", "take", "AXFR"
# One remote each: a primary that does not know IXFR is remembered, and would not be asked by the others' zones.
REMOTES = {"a": 0, "i": 1, "i11": 2}


class Required(NamedTuple):
    """What ours has to make of a row.

    `reason`: why the version (KEEP) or the incremental transfer (AXFR) was refused; empty where there was nothing to
    refuse in what came, and yet it cannot be all. `says`: a part of the sentence
    with the transfer's log line. `extra`, `without`: lines that the version taken has beyond or short of its own.
    """

    outcome: str
    reason: str = ""
    says: str = ""
    extra: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


REQUIRED = {
    "a00": Required(TAKE),
    "a01": Required(KEEP, "closed-early"),
    "a02": Required(KEEP, "soa-in-middle", "serial 7, not 6"),
    "a03": Required(KEEP, "soa-in-middle", "other contents"),
    "a04": Required(KEEP, "soa-in-middle", "records follow the closing SOA"),
    "a05": Required(TAKE, says="1 records outside the zone were left out, first www.elsewhere.test"),
    "a06": Required(KEEP, "wrong-class"),
    "a07": Required(KEEP, "cname-conflict"),
    "a08": Required(TAKE, says="1 records came more than once and were taken once"),
    "a09": Required(KEEP, "no-ns"),
    "a10": Required(
        TAKE,
        says="1 RRsets had several TTLs and got their lowest, first www.a10.bad.test A",
        extra=("www 60 A 192.0.2.1", "www 60 A 192.0.2.2"),
        without=("www 300 A 192.0.2.1",),
    ),
    "a11": Required(KEEP, "malformed", "another id"),
    "a12": Required(KEEP, "malformed", "another question"),
    "a13": Required(KEEP, "malformed", "QR=0"),
    "a14": Required(TAKE, says="the primary set TC"),
    "a15": Required(TAKE, says="the primary did not set AA"),
    "a16": Required(KEEP, "soa-in-middle", "serial 5, not 6"),
    "a17": Required(KEEP, "no-soa"),
    "a18": Required(KEEP, "malformed", "3 bytes, not 4"),
    "a19": Required(KEEP, "serial-backwards"),
    "a20": Required(TAKE),
    "a21": Required(TAKE),
    "a22": Required(KEEP, "serial-same", "same serial, different content"),
    "a23": Required(TAKE, extra=("ttl 0 A 192.0.2.8",)),
    "a24": Required(KEEP, "no-ns"),
    "a25": Required(KEEP, "cname-conflict", "below the DNAME"),
    "i00": Required(TAKE),
    "i01": Required(AXFR, "closed-early"),
    "i02": Required(AXFR, "ixfr-mismatch", "deletes absent.i02.bad.test A"),
    "i03": Required(AXFR, "ixfr-mismatch", "adds www.i03.bad.test A"),
    "i04": Required(AXFR, "ixfr-history-gap", "start at serial 4"),
    "i05": Required(AXFR, "ixfr-history-gap", "reach serial 6 and go on from 7"),
    "i06": Required(TAKE),
    "i07": Required(AXFR, "no-ns"),
    "i08": Required(AXFR, "no-ns"),
    "i10": Required(AXFR, "refused"),
    "i11": Required(AXFR, "formerr"),
    "i12": Required(AXFR, "notauth-zone"),
    "i13": Required(AXFR, "closed-early"),
    "i14": Required(KEEP, "serial-backwards"),
    "i15": Required(TAKE),
    "i16": Required(TAKE),
    "i17": Required(TAKE, says="1 records outside the zone were left out, first www.elsewhere.test"),
    "i18": Required(AXFR, "ixfr-mismatch", "deletes serial.i18.bad.test TXT"),
    "i19": Required(AXFR, "soa-in-middle", "belongs to sub.i19.bad.test"),
    "i20": Required(AXFR, "wrong-class"),
    "i21": Required(AXFR, "closed-early"),
    "i22": Required(AXFR),
}
# Tolerated, but the operator hears of it: the transfer's line is a warning.
WARNED = {row for row, required in REQUIRED.items() if required.outcome == TAKE and required.says}


def remote_of(row: str) -> int:
    """Which of the primary's ports the row's zone comes from."""
    return REMOTES.get(row, REMOTES[row[0]])


def content(zone: Zone, serial: int, required: Required) -> set[ask.Record]:
    """The version that a row which is taken leads to."""
    left_out = [zone.rr(line) for line in required.without]
    records: list[Record] = [zone.soa(serial), *zone.body(serial), *map(zone.rr, required.extra)]
    return shown(record for record in records if record not in left_out)


def configuration(primary: BadPrimary) -> str:
    """The remotes and zones of ours."""
    key = f'key = "{primary.key.name}"\n' if primary.key else ""
    remotes = [
        f'[remote.bad-{group}]\naddress = ["{LOOPBACK}:{primary.ports[number]}"]\n{key}'
        for group, number in REMOTES.items()
    ]
    group_of = {number: group for group, number in REMOTES.items()}
    zones = [f'[zone."{zone_of(row)}"]\nprimaries = ["bad-{group_of[remote_of(row)]}"]\n' for row in ROWS]
    return "".join((*remotes, *zones))


class Transfer(NamedTuple):
    """What the log says of one transfer."""

    level: str
    asked: str
    got: str
    serials: str
    outcome: str
    reason: str
    says: str


_LINE = re.compile(
    r"(\w+) transfer in zone=(\S+) .*asked=(\S+) got=(\S+) serial=(\S+) .*outcome=(\S+) reason=(\S+)(?: detail=(.*))?$"
)


@dataclass
class Beside:
    """The bad primary and ours; the first version is served."""

    primary: BadPrimary
    ours: Nameserver

    def transfers(self) -> dict[str, list[Transfer]]:
        """By zone, those since the first one, which is left out."""
        found: dict[str, list[Transfer]] = {zone: [] for zone in self.primary.zones}
        for line in self.ours.log.splitlines():
            if match := _LINE.search(line):
                level, zone, asked, got, serials, outcome, reason, says = match.groups()
                found[zone].append(Transfer(level, asked, got, serials, outcome, reason, says or ""))
        return {zone: each[1:] for zone, each in found.items()}

    def wait_for_runs(self) -> None:
        """Until every zone has tried what it was told of, and what it took is answered."""

        def ended() -> bool:
            return all(
                zone["next_refresh"] is not None
                and zone["last_transfer"]["serial_old"] is not None
                and zone["workers_serving"] >= self.ours.workers
                and zone["state"] != "refreshing"
                for zone in self.ours.status()["zones"]
            )

        self.ours.wait(ended, 20, "every zone's run to end")


@contextmanager
def beside(*, key: Key | None = None, ixfr_in_full: bool = False, more_ports: int = 0) -> Iterator[Beside]:
    # One run per NOTIFY and none besides: what is counted below is exactly what the NOTIFY caused.
    template = {"min-refresh-time": "1h", "min-retry-time": "1h"}
    with (
        BadPrimary(ports=len(REMOTES) + more_ports, key=key, ixfr_in_full=ixfr_in_full) as primary,
        # debug: a failure like the one before is logged too
        Nameserver(key=key, template=template, server={"log-level": "debug"}, extra=configuration(primary)) as ours,
    ):
        ours.start()
        ours.wait(lambda: all(zone["workers_serving"] for zone in ours.status()["zones"]), 20, "every zone")
        ours.wait(lambda: all(ours.serial(zone) == GOOD_SERIAL for zone in primary.zones), 20, "the first versions")
        yield Beside(primary, ours)
        ours.stop()
        assert primary.faults == []


def expected_transfers(row: str, in_full: bool) -> list[tuple[str, str, str]]:
    """(asked, outcome, reason) of each transfer of a row's run; the NOTIMP that ends an IXFR of an a-row left out."""
    required = REQUIRED[row]
    first = "ixfr" if row.startswith("i") or in_full else "axfr"
    if required.outcome == TAKE:
        return [(first, "ok", "-")]
    failed = [(first, "failed", required.reason) if required.reason else (first, "up-to-date", "-")]
    if required.outcome == AXFR:
        return [*failed, ("axfr", "ok", "-")]
    # a serial that must not be taken is not asked for in another way
    again = first == "ixfr" and not required.reason.startswith("serial")
    return [*failed, ("axfr", "failed", required.reason)] if again else failed


def faults_of(run: Beside, row: str, transfers: list[Transfer], in_full: bool) -> Iterator[str]:
    """What is not as required."""
    required, zone = REQUIRED[row], run.primary.zones[zone_of(row)]
    status = run.ours.zone(zone.name)
    taken = required.outcome != KEEP
    serial = ROWS[row].serial if taken else GOOD_SERIAL
    wanted = content(zone, serial, required) if taken else shown(zone.whole(GOOD_SERIAL))
    if (served := run.ours.axfr(zone.name)) != wanted:
        yield f"content: {served ^ wanted}"
    if (run.ours.serial(zone.name), status["serial"]) != (serial, serial):
        yield f"serial {status['serial']}"
    if status["last_reason"] != (None if taken else required.reason):
        yield f"status: {status['last_reason']} {status['last_detail']}"
    if status["state"] not in (FINE if taken else ("retrying",)):
        yield f"state {status['state']}"
    known = [each for each in transfers if each.reason != "notimp"]
    if [(each.asked, each.outcome, each.reason) for each in known] != expected_transfers(row, in_full):
        yield f"transfers {transfers}"
        return
    decisive = known[0]
    if required.says not in decisive.says:
        yield f"says {decisive.says}"
    if decisive.level != ("WARNING" if required.reason or row in WARNED else "INFO"):
        yield f"{decisive.level} {decisive.says}"
    got = "ixfr" if row.startswith("i") and required.outcome == TAKE and row != "i06" else "axfr"
    if taken and (known[-1].got, known[-1].serials) != (got, f"{GOOD_SERIAL}->{serial}"):
        yield f"got {known[-1]}"


FINE = ("serving", "refreshing")  # what was just changed is looked at once more, half a second later
MODES: dict[str, Callable[[], dict[str, object]]] = {
    "plain": dict,
    "signed": lambda: {"key": new_key("transfer-key")},
    "in answer to IXFR": lambda: {"ixfr_in_full": True},
    "signed, in answer to IXFR": lambda: {"key": new_key("transfer-key"), "ixfr_in_full": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_nothing_bad_is_published_and_nothing_good_is_refused(mode: str) -> None:
    """Every row as `REQUIRED` says, in one run; the log and the metrics tell the same of it."""
    options = MODES[mode]()
    with beside(**options) as run:  # type: ignore[arg-type]
        before = Counter(metrics(run))
        run.primary.misbehave()
        run.primary.notify(run.ours.port)
        run.wait_for_runs()
        transfers = run.transfers()
        in_full = bool(options.get("ixfr_in_full"))
        faults = {row: list(faults_of(run, row, transfers[zone_of(row)], in_full)) for row in ROWS}
        assert "\n".join(f"{row}: {fault}" for row, each in faults.items() for fault in each) == ""
        logged = Counter((t.asked, t.got, t.outcome, t.reason) for each in transfers.values() for t in each)
        assert Counter(metrics(run)) - before == logged


def metrics(run: Beside) -> dict[tuple[str, ...], int]:
    """Transfers in by (asked, got, outcome, reason)."""
    found = {}
    for name, value in run.ours.metrics().items():
        labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
        if name.startswith("nameserver_transfers_total{") and labels["direction"] == "in":
            found[labels["requested"], labels["got"], labels["outcome"], labels["reason"] or "-"] = int(value)
    return found


def test_once_the_primary_is_mended_every_zone_follows_at_the_next_notify() -> None:
    """One that was refused before waits for nothing; one that does not know IXFR is not asked for it again."""
    with beside() as run:
        primary, ours = run.primary, run.ours
        primary.misbehave()
        primary.notify(ours.port)
        run.wait_for_runs()
        primary.heal()
        primary.notify(ours.port)
        ours.wait(lambda: all(ours.serial(zone) == HEALED_SERIAL for zone in primary.zones), 15, "the mended versions")
        run.wait_for_runs()
        for zone in primary.zones.values():
            assert ours.axfr(zone.name) == shown(zone.whole(HEALED_SERIAL))
            status = ours.zone(zone.name)
            assert (status["last_reason"], status["failures"]) == (None, 0)
            assert status["state"] in FINE
            row = row_of(zone.name)
            wanted = ["IXFR"] if row.startswith("i") and row != "i11" else ["AXFR"]
            assert primary.asked_for(zone.name, primary.ports[remote_of(row)], Phase.HEALED) == wanted


def test_the_published_table_has_every_row_and_ours_as_required() -> None:
    lines = (Path(__file__).parent / "BAD_PRIMARIES.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if re.match(r"\| [ai]\d\d ", line)]
    assert {row[1]: row[5] for row in cells} == {f"{row} {ROWS[row].what}": REQUIRED[row].outcome for row in ROWS}


# --- beside the peers -------------------------------------------------------------------------------------------------

TRIES = 3  # transfers asked for in vain, after which a peer is taken to stay with what it has
PATIENCE = 12.0  # seconds, for all


def verdict(primary: BadPrimary, row: str, served: set[ask.Record] | None, asked: Sequence[str]) -> str:
    """A table's cell: what a secondary serves in the end, in bold where that is damage."""
    zone = primary.zones[zone_of(row)]
    if served is None:
        return "**lost**"
    if served == shown(zone.whole(GOOD_SERIAL)):
        return KEEP
    required, right = REQUIRED[row], shown(zone.whole(ROWS[row].serial))
    if served in (right, content(zone, ROWS[row].serial, required)):
        taken = AXFR if row.startswith("i") and "AXFR" in asked else TAKE
        return f"**{taken}**" if required.outcome == KEEP else taken
    soa = next(record for record in served if record.rdtype == "SOA")
    serial = int(soa.rdata.split()[2])
    if len(served) == 1:
        return "**emptied**"
    if serial < GOOD_SERIAL:
        return "**goes back**"
    apart = [f"{len(served - right)} more" if served - right else "", f"{len(right - served)} less"]
    return f"**take, {', '.join(each for each in apart if each and each != '0 less')}**"


def tell(primary: BadPrimary, peers: Sequence[Secondary]) -> None:
    """NOTIFY to all; wait until each zone at each peer has changed, or was tried often enough."""
    for peer in peers:
        primary.notify(peer.port)
    open_ = {(peer.name, zone): (peer, port) for peer in peers for zone, port in peer.zones.items()}

    def settled() -> bool:
        for (name, zone), (peer, port) in list(open_.items()):
            tried = len(primary.asked_for(zone, port)) >= TRIES
            if tried or peer.serial(zone) != GOOD_SERIAL:
                del open_[name, zone]
        return not open_

    with suppress(AssertionError):  # a peer that goes on trying, or has given up, is no fault of ours
        wait_for(settled, PATIENCE, "the peers", every=0.5)


def table(cells: dict[str, dict[str, str]], title: str) -> str:
    """Markdown."""
    columns = list(next(iter(cells.values())))
    lines = [f"{title}:", "", f"| case | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {row} {ROWS[row].what} | {' | '.join(each.values())} |" for row, each in cells.items()]
    return "\n".join(lines)


@pytest.mark.parametrize("mode", ["plain", "signed"])
def test_beside_the_peers_ours_alone_publishes_nothing_bad(mode: str) -> None:
    """Whatever the peers do is only shown; ours must be as required."""
    requires(*(each for peer in SECONDARIES for each in peer.programs))
    key = new_key("transfer-key") if mode == "signed" else None
    with ExitStack() as stack:
        run = stack.enter_context(beside(key=key, more_ports=len(SECONDARIES)))
        primary, ours = run.primary, run.ours
        ports = primary.ports[len(REMOTES) :]
        peers = [
            stack.enter_context(kind(dict.fromkeys(primary.zones, port), key))
            for kind, port in zip(SECONDARIES, ports, strict=True)
        ]
        for peer in peers:
            peer.start()
        for peer in peers:
            wait_for(
                lambda peer=peer: all(peer.serial(zone) == GOOD_SERIAL for zone in primary.zones),
                20,
                f"{peer.name} to have the good versions",
                every=0.2,
                explain=peer.explain,
            )
        primary.misbehave()
        primary.notify(ours.port)
        tell(primary, peers)
        run.wait_for_runs()
        cells: dict[str, dict[str, str]] = {}
        for row in ROWS:
            zone = zone_of(row)
            cells[row] = {
                peer.name: verdict(primary, row, peer.records(zone), primary.asked_for(zone, port))
                for peer, port in zip(peers, ports, strict=True)
            }
            asked = primary.asked_for(zone, primary.ports[remote_of(row)])
            cells[row]["ours"] = verdict(primary, row, ours.axfr(zone), asked)
        print(f"\n{table(cells, f'A bad primary, {mode} transfers')}\n")  # noqa: T201
        alive = ", ".join(f"{peer.name} {'yes' if peer.alive else 'no'}" for peer in peers)
        print(f"still running: {alive}")  # noqa: T201
        assert {row: each["ours"] for row, each in cells.items()} == {row: REQUIRED[row].outcome for row in ROWS}
