"""Roles by command go before the configuration until that agrees, and say so."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nameserver.config.model import Config, Endpoint, Remote, ServerConfig, ZoneConfig
from nameserver.config.roles import FILE_NAME, Role, apply_roles, described, read_roles, written
from nameserver.errors import ConfigError
from nameserver.wire import names

ZONE = "example.com"
NAME = names.from_text(ZONE)
A, B = (Remote(name, (Endpoint("192.0.2.1", 53),)) for name in ("a", "b"))
SECONDARY = ZoneConfig(NAME, ZONE, primaries=(A,))
PRIMARY = ZoneConfig(NAME, ZONE, type="primary", file=Path("/etc/z.zone"))
PROMOTED = Role(ZONE, "primary", Path("/state/z.zone"), (), 1e9, "secondary of a")
DEMOTED = Role(ZONE, "secondary", None, ("b",), 1e9, "primary from /etc/z.zone")


def config(*zones: ZoneConfig, remotes: tuple[Remote, ...] = (A, B)) -> Config:
    server = ServerConfig((), Path("/state"), Path("/control"))
    named = {remote.name: remote for remote in remotes}
    return Config(Path("c.toml"), server, remotes=named, zones={zone.name: zone for zone in zones}, warnings=("w",))


def test_a_role_goes_before_a_configuration_that_is_as_it_was() -> None:
    for zone, role, wanted in (
        (SECONDARY, PROMOTED, ("primary", PROMOTED.file, ())),
        (PRIMARY, DEMOTED, ("secondary", None, (B,))),
    ):
        applied = apply_roles(config(zone), {NAME: role})
        found = applied.config.zones[NAME]
        assert (found.type, found.file, found.primaries) == wanted
        assert (applied.roles, applied.forgotten) == ({NAME: role}, ())
        first, warning = applied.config.warnings
        assert first == "w"
        assert warning == f"zone {ZONE} was {found.override}"
        assert described(zone) in found.override and "2001-09-09 01:46:40 UTC" in found.override
    assert (
        'write type = "primary" and file = "/state/z.zone"'
        in apply_roles(config(SECONDARY), {NAME: PROMOTED}).config.warnings[1]
    )


@pytest.mark.parametrize(
    ("zone", "role"),
    [
        (replace(PRIMARY, file=Path("/elsewhere")), PROMOTED),
        (SECONDARY, DEMOTED),
        (replace(SECONDARY, primaries=(B,)), DEMOTED),
        (replace(SECONDARY, primaries=(A, B)), Role(ZONE, "secondary", None, ("b",), 1.0, "secondary of a")),
    ],
)
def test_a_configuration_that_has_followed_holds_and_the_role_is_forgotten(zone: ZoneConfig, role: Role) -> None:
    applied = apply_roles(config(zone), {NAME: role})
    assert applied.config == config(zone)
    assert applied.roles == {}
    assert applied.forgotten == (f"zone {ZONE}: the configuration has it as {described(zone)}, and holds from now on",)


def test_a_configuration_that_changed_and_contradicts_is_told_with_its_words_then_and_now() -> None:
    applied = apply_roles(config(replace(SECONDARY, primaries=(B,))), {NAME: PROMOTED})
    assert applied.config.zones[NAME].type == "primary"
    assert "the configuration says secondary of b (it said secondary of a then)" in applied.config.warnings[1]


def test_a_zone_that_is_configured_no_more_has_its_role_again_when_it_comes_back() -> None:
    applied = apply_roles(config(), {NAME: PROMOTED})
    assert (applied.config.zones, applied.roles) == ({}, {NAME: PROMOTED})
    assert "configured no more; should it come back, it is primary from /state/z.zone" in applied.config.warnings[1]
    assert FILE_NAME in applied.config.warnings[1]


def test_a_role_whose_remote_is_gone_is_a_problem_of_the_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        apply_roles(config(PRIMARY, remotes=(A,)), {NAME: DEMOTED})
    (problem,) = caught.value.problems
    assert problem.startswith(f"c.toml: no [remote.b] is configured: zone {ZONE} was demoted")


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
roles = st.builds(
    lambda zone, primary, path, primaries, since, configured: Role(
        zone, "primary" if primary else "secondary", Path(path) if primary else None,
        () if primary else tuple(primaries), since, configured,
    ),
    st.sampled_from([ZONE, "0/25.2.0.192.in-addr.arpa", r"a\.b\"c.example", r"\195\188.example", "."]),
    st.booleans(),
    texts.map(lambda text: "/" + text),
    st.lists(texts, min_size=1, max_size=3),
    st.floats(0, 4e9),
    texts,
)  # fmt: skip


@given(st.lists(roles, max_size=4, unique_by=lambda role: role.zone))
def test_roles_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, some: list[Role]) -> None:
    directory = tmp_path_factory.mktemp("roles")
    (directory / FILE_NAME).write_bytes(written(some))
    assert read_roles(directory) == {names.fold(names.from_text(role.zone)): role for role in some}


def test_without_a_file_there_are_no_roles_and_a_bad_one_is_named(tmp_path: Path) -> None:
    assert read_roles(tmp_path) == {}
    for bad in (
        "[zone",
        '[zone."a"]\ntype = "x"\n',
        '[zone."a"]\ntype = "primary"\n',
        '[zone]\n"a..b" = {}\n',
        "zone=1",
    ):
        (tmp_path / FILE_NAME).write_text(bad)
        with pytest.raises(ConfigError, match=r"roles.toml: it says which zones were promoted or demoted") as caught:
            read_roles(tmp_path)
        assert "mend or remove it" in caught.value.problems[0]
