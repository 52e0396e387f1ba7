"""Open files are shared out before clients can take them."""

import subprocess
import sys
from pathlib import Path

import pytest

from nameserver.config.model import Endpoint, ServerConfig
from nameserver.server.descriptors import fitted, raise_limit

HERE = ServerConfig((Endpoint("127.0.0.1", 53), Endpoint("::1", 53)), Path("state"), Path("control"))


def test_with_enough_files_the_settings_are_taken_as_they_are() -> None:
    assert fitted(HERE, 2, 65536) == (HERE, [])


def test_with_too_few_there_are_as_many_clients_as_leave_the_rest_and_it_is_said() -> None:
    server, problems = fitted(HERE, 2, 256)
    assert 50 < server.tcp_max_clients < 200
    assert server.tcp_max_clients_per_address <= server.tcp_max_clients
    assert f"at most {server.tcp_max_clients} TCP clients" in problems[0]
    assert "256" in problems[0]


@pytest.mark.parametrize("limit", [0, 10, 64])
def test_however_few_there_are_somebody_is_served(limit: int) -> None:
    server, problems = fitted(HERE, 2, limit)
    assert server.tcp_max_clients == server.tcp_max_clients_per_address == 1
    assert len(problems) == 2


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    program = (
        "import resource\nfrom nameserver.server.descriptors import raise_limit\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
        "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE), raise_limit())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200"] * 4


def test_the_limit_here_is_a_number() -> None:
    assert raise_limit() > 0


def test_standard_streams_that_are_missing_are_opened_and_inherited() -> None:
    """F81. Else a socket or the database gets their numbers, and with them all that is printed."""
    program = (
        "import os\nfrom nameserver.server.descriptors import fill_standard_streams\n"
        "os.closerange(0, 3)\nfill_standard_streams()\n"
        "assert os.open('/dev/null', os.O_RDONLY) > 2\n"
        "os._exit(all(os.get_inheritable(each) for each in range(3)) - 1)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
