"""Mutation fuzzing in short: every input that ever broke us, every seed, and a few thousand new mutations.

The long run is `make fuzz` (`tests/fuzz/run.py`). Here the numbers and the seed are fixed, so that a failure comes from
what was changed; SEED=… tries other mutations.
"""

import os
import sys

import pytest
from fuzz import costly, make_corpus, request_seeds, transfer_seeds
from fuzz.mutate import Mutator
from fuzz.outcome import CORPUS, REGRESSIONS, Failed, run
from fuzz.requests import Target as Requests
from fuzz.state import DATABASE, PAGE, pack
from fuzz.state import Target as States
from fuzz.transfer_seeds import IXFR, frame
from fuzz.transfers import Target as Transfers

SEED = os.environ.get("SEED", "1")
TARGETS = {"requests": (Requests, 30_000), "transfers": (Transfers, 6_000), "states": (States, 200)}
COSTLY = costly.streams()


@pytest.fixture(scope="module")
def targets() -> dict[str, object]:
    return {name: kind(SEED) for name, (kind, _) in TARGETS.items()}


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.bin")), ids=lambda path: path.stem)
def test_what_once_broke_us_does_so_no_more(path, targets) -> None:
    """A file's name begins with its target."""
    targets[path.name.partition("-")[0]].replay(path.read_bytes())


@pytest.mark.parametrize("name", list(COSTLY))
def test_messages_full_of_one_kind_of_record_are_judged_rightly(name, targets) -> None:
    """What they cost, at most 0.5 us CPU an octet, is watched by `make fuzz`."""
    first = IXFR if name == "types added and deleted" else 0
    tried = targets["transfers"].replay(frame(first, COSTLY[name]))
    sys.stdout.write(f"{name}: {tried.seconds * 1000:.1f} ms, {tried.verdict}\n")
    assert tried.verdict in ("plain taken: axfr", "plain taken: ixfr", "plain refused: limit-types")


@pytest.mark.parametrize("name", list(TARGETS))
def test_a_short_run_finds_nothing(name, targets) -> None:
    """Fixed numbers of mutations; a failure is printed as what `replay` takes."""
    report = run(targets[name], TARGETS[name][1])
    sys.stdout.write(f"seed {SEED}: {report.tried} {name} in {report.cpu_seconds:.1f} s CPU: {report.verdicts}\n")
    assert report.tried == TARGETS[name][1]
    assert [f"{failure.file_name}: {failure.what}; {failure.case!r}" for failure in report.failures] == []


@pytest.mark.parametrize("transport", [0, 1, 2, 3])
def test_every_request_in_the_corpus_passes(transport, targets) -> None:
    """Unmutated, from both addresses and over both transports."""
    for path in sorted((CORPUS / "requests").glob("*.bin")):
        targets["requests"].replay(bytes((transport,)) + path.read_bytes())


def test_every_transfer_in_the_corpus_passes(targets) -> None:
    verdicts = {path.stem: targets["transfers"].replay(path.read_bytes()).verdict
                for path in (CORPUS / "transfers").glob("*.bin")}  # fmt: skip
    wrong = ("refused", "empty-zone", "not-implemented", "bad")
    assert all(("taken" in verdict) != any(word in name for word in wrong) for name, verdict in verdicts.items())


def test_every_undamaged_state_directory_opens_with_all_its_zones(targets) -> None:
    states = targets["states"]
    for moment, files in states._life.moments.items():
        zones = 1 if moment == "empty" else 3
        assert states.replay(pack(files)).verdict == f"opened with {zones} zones"


def test_a_page_of_another_version_is_never_served(targets) -> None:
    """A write that never reached the disk leaves a page that is whole, but old: each page in turn."""
    states = targets["states"]
    new, old = (states._life.moments[moment][DATABASE] for moment in ("twin", "other-twin"))
    verdicts = set()
    for at in range(0, min(len(new), len(old)), PAGE):
        mixed = {DATABASE: new[:at] + old[at : at + PAGE] + new[at + PAGE :]}
        verdicts.add(states.replay(pack(mixed)).verdict)
    assert "zone damaged" in verdicts


def test_another_letter_in_the_tables_definitions_is_damage(targets) -> None:
    """SQLite takes whatever name stands there, and our statements would then fail for ever."""
    states = targets["states"]
    content = states._life.moments["twin"][DATABASE]
    words = dict.fromkeys((b"refresh_at REAL", b"node BLOB", b"first_key BLOB", b"base_generation"), "moved aside")
    words[b"old_serial INTEGER"] = "saved in part"  # the zones, without their histories
    for word, verdict in words.items():
        at = content.index(word)
        changed = content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :]
        assert states.replay(pack({DATABASE: changed})).verdict == verdict


def test_the_corpus_is_what_its_script_makes() -> None:
    """`PYTHONPATH=tests python -m fuzz.make_corpus` writes it anew."""
    found = {str(path.relative_to(CORPUS)): path.read_bytes() for path in CORPUS.rglob("*.bin")}
    assert found == make_corpus.wanted()
    assert len(request_seeds.seeds()) + len(transfer_seeds.seeds()) == len(found)


def test_the_same_seed_draws_the_same_inputs() -> None:
    cases = [[Requests("7").step().case for _ in range(1)] for _ in range(2)]
    assert cases[0] == cases[1]


class Forgetful:
    """A target that stands for code which breaks on some inputs."""

    def __init__(self, random) -> None:
        self._mutator = Mutator(random, [b"good"])

    def step(self):
        raise Failed("broke", "forgetful", self._mutator.mutate(b"good"))


def test_a_failure_is_reported_with_the_input_that_made_it() -> None:
    from random import Random

    report = run(Forgetful(Random(1)), 3)
    assert len(report.failures) == report.tried == 3
    assert report.failures[0].file_name.startswith("forgetful-")
