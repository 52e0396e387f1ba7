"""`--then-http URL …`: does the application still answer behind the names? As this machine resolves them."""

import argparse
import asyncio
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence

from nameserver.cli.migrate import common
from nameserver.migrate.report import Level, Report, Table

GATEWAY = frozenset({502, 503, 504})  # somebody in front still asks the origin of before


class _Straight(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for the answer that it is."""

    def redirect_request(self, *_: object) -> None:
        """None: not followed."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """`--then-http URL …`."""
    parser.add_argument(
        "--then-http", metavar="URL", nargs="+", type=_url, default=[], help="and whether the application answers there"
    )


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or any(letter.isspace() for letter in text):
        raise argparse.ArgumentTypeError(f"expected an address such as https://www.example.com/, got {text!r}")
    common.refuse_password(text)
    return text


async def measure(zone: str, urls: Sequence[str], seconds: float) -> Report:
    """Ask each once, at the same time, for so many seconds. A status of 400 and above is a fault, as is no answer."""
    answers = await asyncio.gather(*(asyncio.to_thread(_status, url, seconds) for url in urls))
    report = Report("http", zone)
    rows = tuple((url, str(answer)) for url, answer in zip(urls, answers, strict=True))
    tones = {number: Level.FAULT for number, answer in enumerate(answers) if not _good(answer)}
    report.tables.append(Table("", ("URL", "ANSWER"), rows, tones))
    report.facts = dict(zip(urls, answers, strict=True))
    for url, answer in zip(urls, answers, strict=True):
        if answer in GATEWAY:
            step = "Look at what a CDN or proxy in front has as its origin, and purge it."
            report.add(Level.FAULT, "http-gateway", f"{url} answers {answer}: what is in front reaches no origin", step)
        elif not _good(answer):
            report.add(Level.FAULT, "http", f"{url}: {answer}", "Look where its name leads: migrate propagation.")
    report.unreachable = bool(answers) and not any(isinstance(answer, int) for answer in answers)
    report.verdict = "The application answers." if report.exit_code == 0 else "The application does not answer."
    return report


def _good(answer: int | str) -> bool:
    return isinstance(answer, int) and answer < 400


def _status(url: str, seconds: float) -> int | str:
    """The status of the answer, or why there is none."""
    try:
        straight = urllib.request.build_opener(_Straight, urllib.request.ProxyHandler({}))
        with straight.open(url, timeout=seconds) as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
