"""A TSIG key as the configuration of each server has it: what both halves of a transfer paste first.

Each gives its lines, or none where there is no key (`name` "").
"""

SECRET = "SECRET"  # noqa: S105 - stands where the secret has to be filled in


def bind(name: str, algorithm: str, secret: str = SECRET) -> list[str]:
    """For named.conf."""
    return [f'key "{name}" {{', f"    algorithm {algorithm};", f'    secret "{secret}";', "};"] if name else []


def knot(name: str, algorithm: str, secret: str = SECRET) -> list[str]:
    """For knot.conf."""
    if not name:
        return []
    return ["key:", f'  - id: "{name}"', f"    algorithm: {algorithm}", f'    secret: "{secret}"']


def nsd(name: str, algorithm: str, secret: str = SECRET) -> list[str]:
    """For nsd.conf."""
    return ["key:", f'  name: "{name}"', f"  algorithm: {algorithm}", f'  secret: "{secret}"'] if name else []


def pdnsutil(name: str, algorithm: str, secret: str = SECRET) -> list[str]:
    """The command of PowerDNS 5.0 and later."""
    return [f"pdnsutil tsigkey import {name} {algorithm} {secret}"] if name else []


def pdnsutil_4(name: str, algorithm: str, secret: str = SECRET) -> list[str]:
    """The command of PowerDNS 4, as a comment."""
    return [f"# pdnsutil import-tsig-key {name} {algorithm} {secret}"] if name else []
