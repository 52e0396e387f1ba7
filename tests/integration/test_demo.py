"""What `make run` runs: it says what it did, answers authoritatively, and goes away without a trace."""

import re
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import pytest
from support import ask
from support.process import Child, free_port, short_directory
from support.wait import wait_for

CONF = Path(__file__).resolve().parents[2] / "conf" / "demo"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def demo() -> Iterator[Child]:
    """With the project's own files, but for the ports: two tests at a time would want the same."""
    ports: defaultdict[str, str] = defaultdict(lambda: str(free_port()))
    directory = short_directory("demo")
    shutil.copytree(CONF, directory / "conf")
    for file in (directory / "conf").glob("*.toml"):
        file.write_text(re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda match: ports[match[0]], file.read_text()))
    command = [sys.executable, "-m", "nameserver", "demo", "--conf", str(directory / "conf")]
    child = Child(command, directory / "log", {"TMPDIR": str(directory)})
    wait_for(lambda: "Ctrl-C stops both" in child.log or not child.alive, 60, "the demo", explain=lambda: child.log)
    yield child
    children = descendants(child)
    if child.alive:
        child.terminate(30)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    shutil.rmtree(directory)


def descendants(child: Child) -> list[int]:
    """The demo's daemons and their workers: they have process groups of their own."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = [child.pid]
    for pid in found:
        found += [other for other, parent in parents.items() if parent == pid]
    return found[1:]


def test_the_demo_answers_with_authority_and_stops_cleanly_on_ctrl_c(demo: Child) -> None:
    match = re.search(r"dig @127\.0\.0\.1 -p (\d+) (www\.example\.com)\n", demo.log)
    assert match, demo.log
    reply = ask.query(int(match[1]), match[2], "A")
    assert reply.flags & dns.flags.AA
    assert [rrset.to_text() for rrset in reply.answer] == [
        "www.example.com. 300 IN CNAME example.com.",
        "example.com. 300 IN A 192.0.2.10",
    ]
    assert "AXFR of serial 2026112101" in demo.log
    started = descendants(demo)
    assert len(started) >= 2
    directory = re.search(r"removes (\S+)", demo.log)
    assert directory
    assert Path(directory[1], "transfer.secret").stat().st_mode & 0o077 == 0
    assert Path(directory[1], "transfer.secret").read_text().strip() not in demo.log

    demo.signal(signal.SIGINT)
    assert demo.process.wait(30) == 0, demo.log
    assert not Path(directory[1]).exists()
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_a_change_to_the_zone_file_arrives_at_the_secondary_after_the_reload_it_names(demo: Child) -> None:
    port = int(re.search(r"-p (\d+) www", demo.log)[1])
    zone_file = Path(re.search(r"edit (\S+), raise", demo.log)[1])
    config = re.search(r"reload -c (\S+)", demo.log)[1]
    zone_file.write_text(zone_file.read_text().replace("2026112101", "2026112102"))
    reload = Child([sys.executable, "-m", "nameserver", "reload", "-c", config], zone_file.parent / "reload.log")
    assert reload.process.wait(30) == 0, reload.log
    wait_for(lambda: ask.serial(port, "example.com") == 2026112102, 15, "the new serial", explain=lambda: demo.log)


def test_without_its_files_the_demo_says_where_it_looked(tmp_path: Path) -> None:
    child = Child([sys.executable, "-m", "nameserver", "demo", "--conf", str(tmp_path)], tmp_path / "log")
    assert child.process.wait(30) == 2
    assert "no primary.toml" in child.log
    assert "--conf" in child.log
