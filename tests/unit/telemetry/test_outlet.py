"""The log's outlet: never waited for, in order, nothing torn, what is lost is said (F81)."""

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest
from support.wait import wait_for

from nameserver.telemetry.log import PlainFormatter
from nameserver.telemetry.outlet import GATHERED, Outlet, OutletHandler


class Pipe:
    """A pipe of four pages."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 16384)
        self.open = {self.reading, self.writing}

    def close(self, *ends: int) -> None:
        for end in self.open & set(ends or self.open):
            os.close(end)
            self.open.remove(end)

    def read_until(self, last: bytes) -> bytes:
        data = b""
        while not data.endswith(last):
            data += os.read(self.reading, 65536)
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def logging_to(pipe: Pipe) -> tuple[OutletHandler, logging.Logger]:
    """A logger that no other test knows."""
    handler = OutletHandler(pipe.writing)
    handler.setFormatter(PlainFormatter())
    logger = logging.Logger("nameserver.x")  # noqa: LOG001
    logger.addHandler(handler)
    return handler, logger


def lines(number: int, size: int = 100) -> list[bytes]:
    return [f"{index} ".encode().ljust(size - 1, b"x") + b"\n" for index in range(number)]


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "log"]


def test_what_is_taken_at_once_is_written_at_once(pipe: Pipe) -> None:
    outlet = Outlet(pipe.writing)
    assert all(outlet.write(line) for line in lines(10))
    assert os.read(pipe.reading, 65536) == b"".join(lines(10))
    assert threads() == []


@pytest.mark.parametrize("size", [30, 5000])
def test_what_is_not_taken_is_kept_and_written_in_order_when_somebody_reads(pipe: Pipe, size: int) -> None:
    outlet = Outlet(pipe.writing)
    sent = lines(60_000 // size + 200, size)
    for line in sent:
        assert outlet.write(line)
    assert threads() == ["log"]
    assert pipe.read_until(sent[-1]) == b"".join(sent)
    wait_for(lambda: not threads(), what="the thread to end")
    assert outlet.write(b"next\n")
    assert os.read(pipe.reading, 100) == b"next\n"
    assert outlet._room == Outlet(pipe.writing)._room


def test_what_cannot_be_kept_either_is_lost_and_no_line_is_torn(pipe: Pipe) -> None:
    outlet = Outlet(pipe.writing, kept=10_000)
    sent = lines(500)
    written = [line for line in sent if outlet.write(line)]
    assert 200 < len(written) < 400
    assert outlet.lost == len(sent) - len(written)
    assert pipe.read_until(written[-1]) == b"".join(written)
    wait_for(lambda: not threads(), what="the thread to end")


def test_nobody_there_and_a_full_disk_lose_lines_and_nothing_else(pipe: Pipe) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    pipe.close(pipe.reading)
    for descriptor in (full, pipe.writing):
        outlet = Outlet(descriptor)
        assert not any(outlet.write(line) for line in lines(10))
        assert outlet.lost == 10
    os.close(full)
    assert not any(outlet.write(line) for line in lines(10)), "and a descriptor that is closed"


def test_a_reader_that_goes_away_while_lines_are_kept_ends_the_waiting(pipe: Pipe) -> None:
    outlet = Outlet(pipe.writing)
    for line in lines(300):
        outlet.write(line)
    pipe.close(pipe.reading)
    wait_for(lambda: not threads(), what="the thread to end")
    assert outlet.lost > 0


def test_the_next_line_says_how_many_are_missing(pipe: Pipe) -> None:
    handler, logger = logging_to(pipe)
    handler._outlet = Outlet(pipe.writing, kept=0)
    while not handler._outlet.lost:
        logger.info("a line of some length to fill the pipe with")
    logger.info("lost too")
    os.read(pipe.reading, 65536)
    logger.info("written again")
    said = os.read(pipe.reading, 65536).decode().splitlines()
    assert "2 lines of this log are missing here" in said[-2], said[-3:]
    assert said[-1].endswith("written again")
    logger.info("and once only")
    assert os.read(pipe.reading, 65536).decode().count("\n") == 1


def test_a_line_that_cannot_be_made_costs_that_line(pipe: Pipe) -> None:
    _, logger = logging_to(pipe)
    logger.info("%d lines", "many")
    logger.info("odd \udcff")
    first, second = os.read(pipe.reading, 65536).decode().splitlines()
    assert "could not be made: '%d lines'" in first
    assert second.endswith("odd \\udcff")


def test_at_the_end_what_is_kept_gets_a_moment(pipe: Pipe) -> None:
    outlet = Outlet(pipe.writing)
    sent = lines(300)
    for line in sent:
        outlet.write(line)
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(pipe.read_until(sent[-1])))
    reader.start()
    outlet.flush(10.0)
    reader.join(10.0)
    assert taken == [b"".join(sent)]
    began = time.monotonic()
    outlet.flush(10.0)
    assert time.monotonic() - began < 5, "there is nothing to wait for"


@pytest.mark.asyncio
async def test_what_a_loop_logs_in_quick_succession_is_written_together_and_in_order(pipe: Pipe) -> None:
    handler, logger = logging_to(pipe)
    handler.gather(asyncio.get_running_loop())
    logger.info("first")
    assert os.read(pipe.reading, 65536).endswith(b" first\n"), "a lone line waits for nobody"
    for number in range(3):
        logger.info("%d", number)
    await asyncio.to_thread(logger.info, "from elsewhere")
    text = pipe.read_until(b"from elsewhere\n").decode()
    assert [line.rsplit(maxsplit=1)[-1] for line in text.splitlines()] == ["0", "1", "2", "elsewhere"]
    logger.info("soon")
    assert await asyncio.to_thread(pipe.read_until, b" soon\n")


@pytest.mark.asyncio
async def test_a_warning_is_written_at_once_and_the_end_of_the_process_writes_what_was_gathered(pipe: Pipe) -> None:
    handler, logger = logging_to(pipe)
    handler.gather(asyncio.get_running_loop())
    for number in range(2):
        logger.info("%d", number)
    logger.warning("beware")
    assert pipe.read_until(b"beware\n").count(b"\n") == 3
    logger.info("last words")
    handler.flush()
    assert pipe.read_until(b"last words\n").count(b"\n") == 1


@pytest.mark.asyncio
async def test_lines_that_were_gathered_and_lost_are_counted_one_by_one(pipe: Pipe) -> None:
    handler, logger = logging_to(pipe)
    handler.gather(asyncio.get_running_loop())
    logger.info("first")
    os.read(pipe.reading, 65536)
    for number in range(GATHERED - 1):
        logger.info("%d", number)
    pipe.close(pipe.reading)
    logger.info("the last that is gathered")
    assert handler._outlet.lost == GATHERED
