"""[server] cookies: the file of secrets."""

from pathlib import Path

import pytest

from nameserver.config.load import load_config
from nameserver.errors import ConfigError

ACTIVE, NEXT = "00112233445566778899aabbccddeeff", "FFEEDDCCBBAA99887766554433221100"


def load(directory: Path, text: str | None, mode: int = 0o600):
    if text is not None:
        file = directory / "cookies.secret"
        file.write_text(text)
        file.chmod(mode)
    config = directory / "nameserver.toml"
    config.write_text('[server]\ncookie-secret-file = "cookies.secret"\n')
    return load_config(config).server


def test_one_line_is_the_secret_and_a_second_one_is_the_next(tmp_path: Path) -> None:
    assert load(tmp_path, ACTIVE).cookie_secrets == (bytes.fromhex(ACTIVE),)
    assert load(tmp_path, f"{ACTIVE}\n{NEXT}\n").cookie_secrets == (bytes.fromhex(ACTIVE), bytes.fromhex(NEXT))


@pytest.mark.parametrize("text", ["", "00", ACTIVE + "0", f"{ACTIVE}\n" * 3, "g" * 32, f"{ACTIVE} {NEXT}"])
def test_anything_else_is_an_error_that_does_not_show_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="32 hexadecimal digits") as caught:
        load(tmp_path, text)
    assert not text.strip() or text.strip() not in str(caught.value)


def test_a_file_that_others_can_read_or_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        load(tmp_path, ACTIVE, 0o644)
    (tmp_path / "cookies.secret").unlink()
    with pytest.raises(ConfigError, match=r"cannot be read|No such file"):
        load(tmp_path, None)


def test_the_secrets_are_not_in_the_configurations_text(tmp_path: Path) -> None:
    assert ACTIVE[:8] not in repr(load(tmp_path, ACTIVE)) and "\\x11" not in repr(load(tmp_path, ACTIVE))
