"""The configurations in conf/: they load, show every key there is, and break at the first key there is not."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nameserver.config import schema
from nameserver.config.load import load_config, read_config
from nameserver.config.model import Config, PullLimits, Remote, ServerConfig, ServerTls, TlsPeer, ZoneConfig
from nameserver.query.rate_limit import RateLimits
from nameserver.refresh.timers import TimerLimits
from nameserver.transfer.limits import TransferLimits
from nameserver.zone.history import HistoryLimits

CONF = Path(__file__).resolve().parents[3] / "conf"
MINIMAL, COMPLETE = CONF / "minimal.toml", CONF / "nameserver.toml"
SAMPLES = sorted(CONF.rglob("*.toml"))
FIRST_TABLE = re.compile(r"^\[", re.MULTILINE)


def test_the_minimal_sample_serves_one_zone_without_a_warning():
    config = load_config(MINIMAL)
    assert [zone.text for zone in config.zones.values()] == ["example.com"]
    assert config.warnings == ()


def test_the_complete_sample_loads_and_warns_of_its_published_secret():
    config = load_config(COMPLETE)
    assert {zone.type for zone in config.zones.values()} == {"secondary", "primary"}
    assert any("sample configuration" in warning for warning in config.warnings)


def test_the_complete_sample_shows_the_defaults():
    """What it shows as a default is one: a value differs only where the comments say that it is an example."""
    config = load_config(COMPLETE)
    zone = config.zones[b"\x07example\x03com\x00"]
    assert (zone.timers, zone.limits, zone.pull) == (TimerLimits(), TransferLimits(), PullLimits())
    server = config.server
    assert server == ServerConfig(server.listen, server.state_dir, server.control)
    defaults = load_config(MINIMAL).server
    assert server == defaults


@pytest.mark.parametrize(("table", "keys"), [("server", schema.SERVER), ("row", schema.ROW), *schema.TABLES.items()])
def test_the_complete_sample_shows_every_key(table: str, keys: dict[str, schema.Setting]):
    """Some only in a comment: they exclude what is shown, or need a file."""
    text = COMPLETE.read_text()
    missing = [key for key in keys if not re.search(rf"(^|[{{,#] ?){re.escape(key)}\s*=", text, re.MULTILINE)]
    assert not missing


def test_every_field_of_the_model_can_be_configured():
    """And every key fills a field that exists."""
    filled = {setting.field for table in (schema.SERVER, *schema.TABLES.values()) for setting in table.values()}
    parts = {
        "timers": TimerLimits, "limits": TransferLimits, "pull": PullLimits, "rate_limit": RateLimits,
        "history": HistoryLimits,
    }  # fmt: skip
    fields = {f"{part}.{name}" for part, kind in parts.items() for name in kind.__dataclass_fields__}
    for kind in (ServerConfig, Remote, TlsPeer, ZoneConfig):
        fields |= set(kind.__dataclass_fields__)
    fields |= {f"tls.{name}" for name in ServerTls.__dataclass_fields__}
    fields -= {*parts, "name", "text", "override"}  # by command only
    # Of TLS, the file names of certificate and key become one field.
    filled -= {"algorithm", "secret", "secret_file", "allow_weak", "template", "tls.key", "key"}
    assert filled == fields


def tables_of(document: dict[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every table that has keys of its own: all but [key], [remote], … which hold names."""
    for key, value in document.items():
        if isinstance(value, dict):
            if key not in schema.TABLES or path:
                yield (*path, key)
            yield from tables_of(value, (*path, key))
        elif isinstance(value, list):
            for index, element in enumerate(value):
                if isinstance(element, dict):
                    yield (*path, key, index)


def seeded(text: str, path: tuple[str | int, ...]) -> str:
    """`text` with one unknown key in the table at `path`."""
    if not path:
        return "seeded = 1\n" + text
    if isinstance(path[-1], int):
        rows = re.compile(rf"^{path[-2]}\s*=\s*\[", re.MULTILINE)
        start = rows.search(text).end()
        for _ in range(path[-1] + 1):
            start = text.index("{", start) + 1
        return f"{text[:start]} seeded = 1,{text[start:]}"
    header = re.compile(rf'^\[{path[0]}(\."?{re.escape(str(path[-1]))}"?)?\]$', re.MULTILINE)
    end = header.search(text).end()
    return f"{text[:end]}\nseeded = 1{text[end:]}"


def cases() -> Iterator[tuple[Path, tuple[str | int, ...]]]:
    for sample in SAMPLES:
        yield sample, ()
        for path in tables_of(tomllib.loads(sample.read_text())):
            yield sample, path


@pytest.mark.parametrize(("sample", "path"), list(cases()), ids=str)
def test_an_unknown_key_in_any_table_of_any_sample_is_refused(
    sample: Path, path: tuple[str | int, ...], tmp_path: Path
):
    (tmp_path / "sample.toml").write_text(seeded(sample.read_text(), path))
    config, errors, _ = read_config(tmp_path / "sample.toml")
    assert config is None
    unknown = [problem for problem in errors if "unknown key" in problem.text]
    assert len(unknown) == 1
    assert unknown[0].path.endswith("seeded")


def test_the_seeding_reaches_every_kind_of_table():
    kinds = {path[0] if path else "" for _, path in cases()} | {path[-2] for _, path in cases() if len(path) > 3}
    assert kinds == {"", "server", "key", "remote", "template", "tls", "zone", "allow-notify", "allow-transfer"}


def test_nothing_a_sample_loads_into_shows_its_secret():
    config: Config = load_config(COMPLETE)
    secret = tomllib.loads(COMPLETE.read_text())["key"]["transfer-key"]["secret"]
    assert secret not in repr(config)
    assert "nameserver keygen" not in repr(config.keys)
