"""No secret leaves the daemon: a debug log, every command, every page, argv and environment, in good and bad times."""

import base64
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from support.ask import Key, TransferRefused
from support.ask import transfer as ask_for_transfer
from support.daemon import new_key
from support.pair import Feeder, Own, pair
from support.zones import small_zone_text

from nameserver.cli.main import main
from nameserver.config.load import load_config
from nameserver.config.model import Endpoint
from nameserver.errors import Reason, TransferError
from nameserver.server.zones.key_choice import KeyChoice
from nameserver.server.zones.pull import Peer
from nameserver.wire.tsig import StreamSigner, StreamVerifier, Verified

ZONE = "example.com"


def traces(key: Key) -> Iterator[str]:
    """What a secret looks like where it leaks, in whole or in its first half."""
    raw = base64.b64decode(key.secret)
    for part in (raw, raw[:15]):  # 15: base64 of a beginning is the beginning of the base64
        yield base64.b64encode(part).decode().rstrip("=")
        yield base64.urlsafe_b64encode(part).decode().rstrip("=")
        yield part.hex()
        yield part.hex(" ")
        yield repr(part)[2:-1]
        yield part.decode("latin-1")


def hits(text: str, keys: list[Key]) -> list[str]:
    folded = text.lower()
    return [trace for key in keys for trace in traces(key) if trace in text or trace.lower() in folded]


def of_processes(pids: list[int]) -> str:
    """argv and environment of processes."""
    files = [Path(f"/proc/{pid}/{name}") for pid in pids for name in ("cmdline", "environ")]
    return "\n".join(path.read_bytes().decode("latin-1").replace("\0", "\n") for path in files)


def commanded(ours: Own, *arguments: str) -> str:
    """What a command prints; run in this process, which is ten times as fast."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        main([*arguments, "-c", str(ours.config)])
    return out.getvalue() + err.getvalue()


def everything_said(ours: Own) -> str:
    """All that an operator, or anybody with a browser, gets to see now."""
    commands = [
        ("status",), ("status", "--json"), ("status", ZONE), ("status", ZONE, "--json"),
        ("why", ZONE), ("why", ZONE, "--json"), ("check-config",), ("refresh", ZONE),
    ]  # fmt: skip
    said = [commanded(ours, *command) for command in commands]
    return "\n".join([*said, *(ours.page(path)[1] for path in ("/", "/metrics", "/health", "/ready"))])


def reason_is(ours: Own, reason: str) -> None:
    ours.order("refresh", zone=ZONE)
    ours.wait(lambda: ours.zone(ZONE)["last_reason"] == reason, what=reason)


def live_through(feeder: Feeder, ours: Own, wrong: Key, unknown: Key) -> Iterator[str]:
    """Good and failing transfers, a rollover, NOTIFY, bad reloads and foreign requests; what is said at each turn."""
    right = ours.keys[-1]
    feeder.update(ZONE, small_zone_text(ZONE, 2))
    ours.wait(lambda: ours.serial(ZONE) == 2, what="serial 2")
    yield everything_said(ours)
    for key, reason in ((wrong, "tsig-badsig"), (unknown, "tsig-badkey")):
        ours.keys[-1] = key
        ours.remote("primary", feeder.port, key)
        yield str(ours.reread())
        reason_is(ours, reason)
        yield everything_said(ours)
    ours.keys.append(right)
    ours.tables["remote.primary"]["key"] = f'["{unknown.name}", "{right.name}"]'
    yield str(ours.reread())
    ours.wait(lambda: ours.zone(ZONE)["primaries"][0]["preferred_key"] == unknown.name, what="the old key in use")
    feeder.update(ZONE, small_zone_text(ZONE, 3))
    ours.wait(lambda: ours.serial(ZONE) == 3, what="serial 3")
    yield everything_said(ours)
    for key in (wrong, unknown):
        with pytest.raises(TransferRefused):
            ask_for_transfer(ours.port, ZONE, Key("watch-key", key.secret))
    text = ours._text()
    for broken in (text.replace(right.secret, right.secret[:-3]), text.replace("secret =", "secert ="), text + "]"):
        ours.config.write_text(broken)
        yield commanded(ours, "reload") + commanded(ours, "check-config")
    yield everything_said(ours)
    yield str(ours.reread())


def test_no_secret_is_in_anything_that_is_said() -> None:
    wrong, unknown = new_key("transfer-key"), new_key("unknown-key")
    with pair([ZONE]) as (feeder, ours):
        keys = [*ours.keys, feeder.watch_key, wrong, unknown]
        said = list(live_through(feeder, ours, wrong, unknown))
        said += [of_processes(ours.pids()), of_processes(feeder.pids()), everything_said(feeder)]
        ours.stop()
        feeder.stop()
        said += [ours.log, feeder.log]
        for text in said:
            assert hits(text, keys) == []
        assert "DEBUG" in ours.log and "tsig-badsig" in ours.log and "tsig-badkey" in ours.log
        assert re.search(r"key\s+transfer-key \(fingerprint [0-9a-f]{8}\)", "\n".join(said))
        assert hits(ours._text(), keys), "the search finds what is there"


def test_no_secret_is_in_the_repr_of_anything_that_holds_one(tmp_path: Path) -> None:
    new, old = new_key("new-key"), new_key("old-key")
    path = tmp_path / "main.toml"
    path.touch(0o600)
    path.write_text(
        "".join(f'[key.{key.name}]\nsecret = "{key.secret}"\n' for key in (new, old))
        + '[remote.a]\naddress = ["192.0.2.1"]\nkey = ["new-key", "old-key"]\n'
        + '[zone."example.com"]\nprimaries = ["a"]\nalso-notify = ["a"]\nallow-transfer = [{ remote = "a" }]\n'
    )
    config = load_config(path)
    remote = config.remotes["a"]
    choice = KeyChoice()
    choice.worked(remote, remote.keys[1], [TransferError(Reason.TSIG_BADKEY)], 0.0)
    held = [
        config, remote, remote.keys, *config.keys.values(), *config.zones.values(), choice._turned,
        Peer(remote, Endpoint("192.0.2.1", 53), remote.keys[0]), StreamSigner(remote.keys[0], b""),
        StreamVerifier(remote.keys[0], b""), Verified(remote.keys[0], b""),
    ]  # fmt: skip
    for each in held:
        for text in (repr(each), str(each), f"{each}", f"{each!a}"):
            assert hits(text, [new, old]) == []
    assert "secret=<hidden>" in repr(config)
