"""Limits on what a transfer may bring: on by default, because a primary can be wrong or taken over."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Size limits of one zone. Exceeding one ends the transfer with the `limit-…` reason; the old version stays."""

    max_bytes: int = 1024 * MIB  # wire bytes received in one transfer
    max_records: int = 10_000_000  # records in the zone
    max_rrset_records: int = 2_000  # records of one owner and type
    max_types_per_name: int = 100  # RRsets of one owner
