"""What a reload is, apart from what it does to zones."""

from dataclasses import dataclass, fields

from nameserver.config.model import ServerConfig


@dataclass(frozen=True, slots=True)
class Reload:
    """The last time the configuration was read."""

    at: float  # wall clock
    succeeded: float  # wall clock of the last one that was taken
    ok: bool = True  # nothing of it was left out
    message: str = ""  # for status displays: everything below
    summary: str = ""
    problems: tuple[str, ...] = ()  # zone files that were not taken
    warnings: tuple[str, ...] = ()


def restart_needed(old: ServerConfig, new: ServerConfig) -> str:
    """A sentence naming the `[server]` keys that changed: they apply from the next start. Empty where none did."""
    changed = [
        field.name.replace("_", "-") for field in fields(old) if getattr(old, field.name) != getattr(new, field.name)
    ]
    if not changed:
        return ""
    return f"; [server] {', '.join(changed)} changed, which takes a restart to apply"
