"""The report of a command that could not have the zone from a server."""

from nameserver.errors import TransferError
from nameserver.migrate.report import Level, Report
from nameserver.telemetry.advice import advise


def unavailable(
    command: str, zone: str, address: str, error: TransferError, verdict: str = "", key: str | None = None
) -> Report:
    """The reason and what to do, with exit code 3. `address` as "HOST:PORT"; `key`: the name of the one that signed."""
    report = Report(command, zone)
    step = advise(error.reason, zone=zone, address=address, key=key).next_step
    report.add(Level.FAULT, str(error.reason), error.detail or str(error.reason), step)
    report.unreachable = True
    report.verdict = verdict or f"{address} does not let us have the zone."
    return report
