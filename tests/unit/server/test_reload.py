"""What a reload cannot change is named."""

from dataclasses import replace
from pathlib import Path

from nameserver.config.model import Endpoint, ServerConfig
from nameserver.server.reload import restart_needed

SERVER = ServerConfig((Endpoint("127.0.0.1", 53),), Path("state"), Path("control"))


def test_nothing_is_said_where_the_server_table_stayed_the_same() -> None:
    assert restart_needed(SERVER, replace(SERVER)) == ""


def test_every_changed_key_is_named_as_the_file_spells_it() -> None:
    text = restart_needed(SERVER, replace(SERVER, workers=7, tcp_idle_timeout=3.0))
    assert "workers, tcp-idle-timeout changed" in text
    assert "restart" in text
