"""Whole configurations: what the daemon gets from a file."""

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from nameserver.config import sources
from nameserver.config.load import load_config, notify_acl, read_config
from nameserver.config.model import Config, Endpoint
from nameserver.errors import ConfigError
from nameserver.query.acl import AclRow
from nameserver.transfer.limits import TransferLimits
from nameserver.wire.names import from_text

SECRET = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="
OTHER_SECRET = "YW5vdGhlciBzZWNyZXQgd2l0aCAzMiBieXRlcyEhISE="
KEY = f'[key.k]\nsecret = "{SECRET}"\n'
REMOTE = '[remote.a]\naddress = ["192.0.2.1"]\n'
ZONE = '[zone."example.com"]\nprimaries = ["a"]\n'
EXAMPLE = from_text("example.com")


class Folder:
    """Writes files (private ones) and loads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def load(self, text: str) -> Config:
        return load_config(self.write("main.toml", text))

    def problems(self, text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.load(text)
        return [problem.replace(f"{self.path}/", "") for problem in caught.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_smallest_file_gets_the_documented_defaults(folder: Folder):
    config = folder.load(REMOTE + ZONE)
    assert config.server.listen == (Endpoint("0.0.0.0", 53), Endpoint("::", 53))
    assert config.server.state_dir == Path("/var/lib/nameserver")
    assert config.server.control == Path("/run/nameserver/control.sock")
    assert config.server.http == Endpoint("127.0.0.1", 9530)
    zone = config.zones[EXAMPLE]
    assert (zone.text, zone.type, zone.primaries) == ("example.com", "secondary", (config.remotes["a"],))
    assert config.warnings == ()


def test_limits_and_cookies_are_on_unless_they_are_turned_off(folder: Folder):
    """S12, S14: a zone without end, a crowd of clients and forged addresses meet them in the smallest file too."""
    config = folder.load(REMOTE + ZONE)
    zone, server = config.zones[EXAMPLE], config.server
    assert zone.limits == TransferLimits(1 << 30, 10_000_000, 2_000, 100)
    assert (zone.pull.total_timeout, zone.pull.min_rate_bytes, zone.pull.min_rate_interval) == (7200, 10_240, 300)
    assert (server.tcp_max_clients, server.tcp_max_clients_per_address, server.transfers_out) == (500, 100, 10)
    assert (server.transfers_out_min_rate_bytes, server.max_udp_size, server.cookies) == (131_072, 1232, True)


def test_a_file_without_zones_is_good_with_a_warning(folder: Folder):
    config = folder.load("")
    assert config.zones == {}
    assert len(config.warnings) == 1
    assert "no zone is configured" in config.warnings[0]


def test_paths_of_the_server_are_relative_to_their_file(folder: Folder):
    folder.write("sub/server.toml", '[server]\nstate-dir = "state"\n')
    config = folder.load('include = ["sub/server.toml"]\n[server]\ncontrol = "control.sock"\n')
    assert config.server.state_dir == folder.path / "sub/state"
    assert config.server.control == folder.path / "control.sock"


def test_a_relative_configuration_still_gives_absolute_paths(folder: Folder, monkeypatch: pytest.MonkeyPatch):
    """A daemon that reloads in another directory must not move its state."""
    folder.write("main.toml", '[server]\nstate-dir = "state"\n')
    monkeypatch.chdir(folder.path)
    assert load_config(Path("main.toml")).server.state_dir == folder.path / "state"


def test_templates_fill_what_a_zone_leaves_open(folder: Folder):
    config = folder.load(
        REMOTE
        + '[remote.b]\naddress = ["192.0.2.2"]\n'
        + '[template.default]\nprimaries = ["a"]\nalso-notify = ["b"]\nmin-refresh-time = "1m"\nmax-zone-records = 5\n'
        + '[template.other]\nprimaries = ["b"]\nudp-tries = 7\n'
        + '[zone.one]\n[zone.two]\nmin-refresh-time = "2m"\nalso-notify = []\n[zone.three]\ntemplate = "other"\n'
    )
    one, two, three = (config.zones[from_text(name)] for name in ("one", "two", "three"))
    assert [remote.name for remote in one.primaries + one.also_notify] == ["a", "b"]
    assert (one.timers.min_refresh, one.limits.max_records, one.pull.udp_tries) == (60, 5, 3)
    assert (two.timers.min_refresh, two.limits.max_records, two.also_notify) == (120, 5, ())
    assert (three.primaries[0].name, three.timers.min_refresh, three.pull.udp_tries) == ("b", 30, 7)


def test_a_template_may_serve_zones_of_both_types(folder: Folder):
    folder.write("zones/own.zone", "")
    config = folder.load(
        REMOTE
        + '[template.default]\nprimaries = ["a"]\nfile = "zones/{zone}.zone"\n'
        + '[zone.own]\ntype = "primary"\n[zone.theirs]\n'
    )
    own, theirs = config.zones[from_text("own")], config.zones[from_text("theirs")]
    assert (own.file, own.primaries) == (folder.path / "zones/own.zone", ())
    assert (theirs.file, len(theirs.primaries)) == (None, 1)


def test_a_missing_zone_file_is_a_warning_so_that_other_zones_start(folder: Folder):
    config = folder.load('[zone.own]\ntype = "primary"\nfile = "own.zone"\n')
    assert "there is no zone file" in config.warnings[0]
    assert config.zones[from_text("own")].file == folder.path / "own.zone"


def test_a_zone_name_with_a_slash_cannot_leave_the_folder_of_zone_files(folder: Folder):
    text = '[template.default]\ntype = "primary"\nfile = "{zone}.zone"\n[zone."../../etc/x"]\n[zone."a/b"]\n'
    assert any("has a slash" in problem for problem in folder.problems(text))


def test_zones_of_one_template_share_their_limits(folder: Folder):
    config = folder.load(REMOTE + '[template.default]\nprimaries = ["a"]\nudp-tries = 7\n[zone.one]\n[zone.two]\n')
    one, two = config.zones.values()
    assert one.pull is two.pull
    assert one.timers is two.timers


def test_faults_of_a_template_are_reported_once(folder: Folder):
    problems = folder.problems(
        '[template.default]\nprimaries = ["x"]\nmin-retry-time = "2h"\nmax-retry-time = "1h"\n[zone.one]\n[zone.two]\n'
    )
    assert len(problems) == 2


def test_two_loads_of_the_same_text_are_equal(folder: Folder):
    """What `reload` goes by."""
    text = KEY + REMOTE + 'key = "k"\n' + ZONE + 'allow-transfer = [{ key = "k" }]\n'
    assert folder.load(text).zones == folder.load(text).zones
    assert folder.load(text).zones != folder.load(text.replace(SECRET, OTHER_SECRET)).zones


def test_keys_are_found_under_any_case_and_with_a_final_dot(folder: Folder):
    config = folder.load(KEY.replace("key.k", 'key."K.Example"') + REMOTE + 'key = "k.example."\n')
    assert config.remotes["a"].keys == (config.keys[from_text("k.example")],)


def test_a_plain_key_with_a_long_name_is_no_secret(folder: Folder):
    long_name = "transferkeyforexamplecom"
    config = folder.load(KEY.replace("key.k", f"key.{long_name}") + REMOTE + f'key = "{long_name}"\n')
    assert len(config.remotes["a"].keys) == 1


def test_a_secret_file_is_relative_to_the_file_that_names_it(folder: Folder):
    folder.write("keys/k.secret", SECRET + "\n")
    folder.write("keys/k.toml", '[key.k]\nsecret-file = "k.secret"\n')
    config = folder.load('include = ["keys/k.toml"]\n')
    assert config.keys[from_text("k")].secret == b"sixteen bytes of the secret!!!!!"


def test_a_readable_file_with_a_secret_is_warned_of(folder: Folder):
    path = folder.write("main.toml", KEY + REMOTE + ZONE)
    assert load_config(path).warnings == ()
    path.chmod(0o644)
    assert ":2: key.k.secret: others can read this file" in load_config(path).warnings[0]


def test_weak_algorithms_work_where_they_are_allowed(folder: Folder):
    config = folder.load(KEY + 'algorithm = "hmac-sha1"\nallow-weak = true\n')
    assert config.keys[from_text("k")].algorithm == "hmac-sha1"
    assert any("key.k.algorithm: hmac-sha1 is weak" in warning for warning in config.warnings)


def test_who_may_notify_are_the_primaries_and_the_rows(folder: Folder):
    config = folder.load(
        KEY
        + '[remote.a]\naddress = ["192.0.2.1", "2001:db8::1"]\nkey = "k"\n'
        + '[remote.b]\naddress = ["192.0.2.2:5300"]\n'
        + '[zone."example.com"]\nprimaries = ["a", "b"]\nallow-notify = [{ address = "198.51.100.0/24" }]\n'
    )
    zone, key = config.zones[EXAMPLE], from_text("k")
    assert zone.allow_notify.rows == (AclRow(ip_network("198.51.100.0/24")),)
    acl = notify_acl(zone)
    assert acl.allows(ip_address("192.0.2.1"), key)
    assert acl.allows(ip_address("2001:db8::1"), key)
    assert not acl.allows(ip_address("192.0.2.1"), None)
    assert acl.allows(ip_address("192.0.2.2"), None)
    assert acl.allows(ip_address("198.51.100.9"), None)
    assert not acl.allows(ip_address("203.0.113.1"), key)


def test_a_remote_may_have_two_keys_and_either_may_sign_what_it_sends(folder: Folder):
    """F17. A row may narrow that to one of them; a key of another remote opens nothing."""
    keys = "".join(f'[key.{name}]\nsecret = "{SECRET}"\n' for name in ("new", "old", "other"))
    config = folder.load(
        keys
        + '[remote.a]\naddress = ["192.0.2.1"]\nkey = ["new", "old"]\n'
        + '[remote.b]\naddress = ["192.0.2.2"]\nkey = "other"\n'
        + '[zone."example.com"]\nprimaries = ["a", "b"]\nallow-transfer = [{ remote = "a" }]\n'
        + '[zone."example.net"]\nprimaries = ["a"]\nallow-transfer = [{ remote = "a", key = "old" }]\n'
    )
    new, old, other = (from_text(name) for name in ("new", "old", "other"))
    assert [key.name for key in config.remotes["a"].keys] == [new, old]
    zone, address = config.zones[EXAMPLE], ip_address("192.0.2.1")
    for acl in (notify_acl(zone), zone.allow_transfer):
        assert [acl.allows(address, key) for key in (new, old, other, None)] == [True, True, False, False]
    narrow = config.zones[from_text("example.net")].allow_transfer
    assert [narrow.allows(address, key) for key in (new, old, other, None)] == [False, True, False, False]


def test_rows_of_access_lists_become_policy(folder: Folder):
    config = folder.load(
        KEY
        + REMOTE
        + 'key = "k"\n[remote.b]\naddress = ["192.0.2.2", "192.0.2.3"]\n'
        + '[zone."example.com"]\nprimaries = ["a"]\nallow-transfer = [\n'
        + '{ address = "198.51.100.0/24", key = "k" }, { key = "k" }, { address = "any", key = "K" },\n'
        + '{ remote = "a" }, { remote = "a", key = "k" }, { remote = "b" }, { remote = "b", key = "k" },\n'
        + '{ address = "2001:db8::1" }, { address = "any", public = true }, { address = "::/0", public = true },\n]\n'
    )
    key = from_text("k")
    one, two, three = (ip_network(f"192.0.2.{number}") for number in (1, 2, 3))
    assert config.zones[EXAMPLE].allow_transfer.rows == (
        AclRow(ip_network("198.51.100.0/24"), key),
        AclRow(None, key),
        AclRow(one, key),
        AclRow(two),
        AclRow(three),
        AclRow(two, key),
        AclRow(three, key),
        AclRow(ip_network("2001:db8::1")),
        AclRow(),
        AclRow(ip_network("::/0")),
    )


def test_public_in_a_row_that_is_narrower_is_warned_of(folder: Folder):
    rows = '[{ address = "192.0.2.1", public = true }, { remote = "a", public = true }]'
    config = folder.load(REMOTE + ZONE + f"allow-transfer = {rows}\n")
    assert len([warning for warning in config.warnings if "has no effect" in warning]) == 2


def test_nobody_may_transfer_by_default(folder: Folder):
    zone = folder.load(REMOTE + ZONE).zones[EXAMPLE]
    assert zone.allow_transfer.rows == zone.allow_notify.rows == ()


def test_includes_are_merged_in_depth_and_read_once(folder: Folder):
    folder.write("zones/a.toml", ZONE)
    folder.write("zones/deep/b.toml", 'include = ["../../main.toml"]\n[zone.two]\nprimaries = ["a"]\n')
    folder.write("server.toml", "[server]\nworkers = 3\n")
    config = folder.load(
        'include = ["zones/**/*.toml", "zones/a.toml", "*.toml"]\n[server]\nlog-level = "debug"\n' + REMOTE
    )
    assert {zone.text for zone in config.zones.values()} == {"example.com", "two"}
    assert (config.server.workers, config.server.log_level) == (3, "debug")


def test_an_absolute_glob_is_an_include_too(folder: Folder):
    folder.write("zones/a.toml", ZONE)
    assert len(folder.load(f'include = ["{folder.path}/zones/*.toml"]\n' + REMOTE).zones) == 1


def test_a_glob_without_matches_is_warned_of_even_beside_errors(folder: Folder):
    path = folder.write("main.toml", 'include = ["keys/*.key"]\n' + REMOTE + 'key = "k"\n')
    _, errors, warnings = read_config(path)
    assert [(problem.line, problem.path) for problem in errors] == [(4, "remote.a.key")]
    assert [(problem.line, problem.path) for problem in warnings] == [(1, "include[0]")]


def test_what_two_files_define_is_an_error_that_names_both_places(folder: Folder):
    folder.write("b.toml", "[server]\nworkers = 1\n" + REMOTE + ZONE)
    folder.write("k.key", f'\nkey k {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
    text = 'include = ["b.toml", "k.key"]\n[server]\nworkers = 2\n' + REMOTE + ZONE + KEY
    assert folder.problems(text) == [
        "b.toml:2: server.workers: is already defined at main.toml:3",
        "b.toml:3: remote.a: is already defined at main.toml:4",
        'b.toml:5: zone."example.com": is already defined at main.toml:6',
        "k.key:2: key.k: is already defined at main.toml:8",
    ]


def test_key_blocks_are_included_from_private_files_only(folder: Folder):
    path = folder.write("k.key", f'key "k" {{\n algorithm hmac-sha256;\n secret "{SECRET}";\n}};\n')
    assert from_text("k") in folder.load('include = ["*.key"]\n').keys
    path.chmod(0o644)
    [problem] = folder.problems('include = ["*.key"]\n')
    assert problem == f"main.toml:1: include[0]: k.key can be read or written by others; run: chmod 600 {'k.key'}"


def test_faults_in_key_blocks_have_their_line(folder: Folder):
    folder.write(
        "k.key",
        f'key a {{\n algorithm hmac-md5;\n secret "{SECRET}";\n}};\n'
        f'key b {{\n algorithm hmac-sha256;\n secret "{SECRET[:-3]}";\n}};\n'
        f'key c {{ secret "{SECRET}"; }};\nkey d {{ }};\nkey b {{\n algorithm x; secret y; }};\nnonsense\n',
    )
    problems = folder.problems('include = ["k.key"]\n')
    assert [problem.split(": ")[0:2] for problem in problems] == [
        ["k.key:2", "key.a.algorithm"],
        ["k.key:7", "key.b.secret"],
        ["k.key:9", "key.c"],
        ["k.key:10", "key.d"],
        ["k.key:11", "key.b"],
        ["k.key:13", 'only key blocks can be included, expected "key", got "nonsense"'],
    ]


def test_files_that_cannot_be_read_are_reported_where_they_are_named(folder: Folder):
    (folder.path / "folder.toml").mkdir()
    (folder.path / "bytes.toml").write_bytes(b"[server]\n# \xff\n")
    folder.write("digits.toml", "[server]\nworkers = " + "1" * 5000 + "\n")
    folder.write("deep.toml", "x = " + "[" * 5000 + "]" * 5000 + "\n")
    problems = folder.problems(
        'include = ["folder.toml", "none.key", "a\\nb.toml", 5,\n "bytes.toml", "digits.toml", "deep.toml"]\n'
    )
    places = [problem.split(": ", 1)[0] for problem in problems]
    assert places == ["main.toml:1"] * 4 + ["bytes.toml:2", "digits.toml:1", "deep.toml:1"]


def test_a_main_file_that_is_missing_is_one_problem(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.toml")
    assert caught.value.problems == [f"{tmp_path}/none.toml: cannot be read: No such file or directory"]


def test_windows_line_ends_and_a_byte_order_mark_are_no_obstacle(tmp_path: Path):
    path = tmp_path / "main.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (REMOTE + ZONE + "x = 1\n").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.problems[0].startswith(f"{path}:5: ")


def test_the_inside_of_an_unquoted_name_is_read_as_it_was_meant(folder: Folder):
    problems = folder.problems(REMOTE + '[zone.example.co.uk]\nprimaries = ["b"]\n[key.a.b]\nsecret = ""\n')
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["main.toml:3", "zone.example.co.uk"],
        ["main.toml:4", "zone.example.co.uk.primaries[0]"],
        ["main.toml:5", "key.a.b"],
        ["main.toml:6", "key.a.b.secret"],
    ]


MISREAD = ['a"b', "a{b", "a}b", "a;b", "a\\b", "a\nb", "a b", "a#b", "a'b", "$(id)", "a/b", "a:b", "ä", "a\tb", "a,b"]


@pytest.mark.parametrize("name", MISREAD)
def test_a_key_name_that_some_servers_configuration_would_misread_is_refused(folder: Folder, name: str):
    """C14: in a table, in a key block, where a remote or a row refers to it. It is not shown: it may be a secret."""
    quoted = json.dumps(name, ensure_ascii=False)
    [problem] = folder.problems(f'[key.{quoted}]\nsecret = "{SECRET}"\n')
    assert problem.startswith('main.toml:1: key."(not shown)": the name of a key has letters, digits, - _ and . only')
    block = name.replace("\\", "\\\\").replace('"', '\\"')
    folder.write("k.key", f'key "{block}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
    problems = folder.problems('include = ["k.key"]\n')
    assert len(problems) == 1 and problems[0].startswith("k.key:1: ")
    rows = f"allow-transfer = [{{ key = {quoted} }}]\n"
    problems = folder.problems(REMOTE + f"key = {quoted}\n" + ZONE + rows)
    assert [problem.split(": ")[0] for problem in problems] == ["main.toml:3", "main.toml:6"]
    assert not [problem for problem in problems if name in problem.partition("expected")[2]]


def test_names_and_values_of_keys_are_judged_like_all_others(folder: Folder):
    problems = folder.problems(
        f'[key."a..b"]\nsecret = "{SECRET}"\n[key.b]\nsecret-file = 5\n[key.c]\nsecret-file = ""\n'
    )
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["main.toml:1", 'key."a..b"'],
        ["main.toml:4", "key.b.secret-file"],
        ["main.toml:6", "key.c.secret-file"],
    ]


def test_an_unknown_key_is_not_reported_a_second_time_as_the_missing_one(folder: Folder):
    faulty = [
        '[key.k]\nsecrt = ""',
        "[remote.a]\nadress = []",
        "[zone.one]\nprimarys = []",
        '[zone.two]\ntype = "primary"\nfil = ""',
    ]
    text = "\n".join(faulty)
    problems = folder.problems(text)
    assert len(problems) == 4
    assert all("unknown key, did you mean" in problem for problem in problems)


def test_no_secret_appears_in_anything_a_configuration_shows(folder: Folder):
    config = folder.load(KEY + REMOTE + 'key = "k"\n' + ZONE + 'allow-transfer = [{ key = "k" }]\n')
    shown = repr(config) + str(config) + repr(config.keys) + repr(config.remotes) + repr(config.zones)
    assert SECRET[:12] not in shown
    assert "sixteen bytes" not in shown


@pytest.mark.parametrize(
    "text",
    [
        f'[key.k]\nsecret = "{SECRET}!"\n',
        f'[key.k]\nsecret = ["{SECRET}"]\n',
        f"[key.k]\nsecret = {SECRET}\n",
        f'[key.k]\nsecret = "{SECRET}\n',
        f'[key.k]\nsecrets = "{SECRET}"\n',
        f'[key.k]\nalgorithm = "{SECRET}"\nsecret = "hmac-sha256"\n',
        f'[key.k]\nsecret-file = "{SECRET}"\n',
        f'[key.k]\nsecret-file = "{SECRET[:30]}"\n',
        f'key.k = "{SECRET}"\n',
        f'key = "{SECRET}"\n',
        f'[key."{SECRET}"]\n',
        f'[key."hmac-sha256:k:{SECRET}"]\nx = 1\n',
        REMOTE + f'key = "{SECRET}"\n',
        REMOTE + f'key = "{SECRET[:-1]}"\n',
        REMOTE + f'key = "{SECRET[:-1] * 2}"\n',
        REMOTE + f'key = "k:{SECRET}"\n',
        REMOTE + ZONE + f'allow-transfer = [{{ key = "{SECRET}" }}]\n',
        REMOTE + ZONE + f'allow-transfer = [{{ remote = "{SECRET}" }}]\n',
        REMOTE + ZONE + f'allow-transfer = [{{ address = "{SECRET}" }}]\n',
        f'[zone.one]\nprimaries = ["{SECRET}"]\n',
        f'[zone.one]\nprimaries = ["hmac-sha256:k:{SECRET}"]\n',
        f'[zone.one]\ntemplate = "{SECRET[:-1]}"\n',
        f'[zone."{SECRET[:-1]}"]\ntype = "primary"\n',
        f'[zone."{SECRET[:-1] * 2}"]\ntype = "primary"\n',
        f'[zone."{SECRET[:-1]}.{SECRET[:-1]}"]\n',
        f"[zone.{SECRET[:-1]}.{SECRET[:-1]}]\n",
        f"[remote.{SECRET[:-1]}]\n",
        f"[key.{SECRET[:-1]}]\n",
        f"[{SECRET[:-1]}]\n",
        f'[key.k]\nsecret-file = "hmac-sha256:{SECRET}"\n',
        f'[key.k]\nsecret-file = "k:{SECRET[:-1]}"\n',
        f'include = ["{SECRET}"]\n',
        f'include = ["{SECRET[:-1]}"]\n',
        f'include = ["{SECRET[:20]}/{SECRET[20:]}", "hmac-sha256:{SECRET[:14]}"]\n',
        f"[key.k]\n{SECRET[:-1]} = 1\n{SECRET[:-1]} = 2\n",
        f"[key.{SECRET[:-1]}]\n[key.{SECRET[:-1]}]\n",
        f"key.{SECRET[:-1]} = {{ x = 1 }}\n[key.{SECRET[:-1]}]\n",
        f"x = {{ {SECRET[:-1]} = 1, {SECRET[:-1]} = 2 }}\n",
    ],
)
def test_no_secret_appears_in_an_error(folder: Folder, text: str):
    shown = "\n".join(folder.problems(text))
    assert SECRET[:12].lower() not in shown.lower()


def test_a_key_named_like_a_secret_is_warned_of_without_its_name(folder: Folder):
    config = folder.load(KEY.replace("key.k", f"key.{OTHER_SECRET[:30]}"))
    [warning] = [warning for warning in config.warnings if "looks like a secret" in warning]
    assert OTHER_SECRET[:12] not in warning


def test_a_zone_named_like_a_secret_without_its_file_is_warned_of_without_its_name(folder: Folder):
    text = '[template.default]\ntype = "primary"\nfile = "{zone}.zone"\n'
    config = folder.load(text + f"[zone.{OTHER_SECRET[:30]}]\n")
    assert "no such zone file" in config.warnings[0]
    assert OTHER_SECRET[:12].lower() not in config.warnings[0].lower()


def test_ordinary_long_names_are_shown(folder: Folder):
    names = (
        "averylongzonenamethatpeoplehave.example",
        "d41d8cd98f00b204e9800998ecf8427e.example",
        "CamelCaseCompanyInternal",
    )
    problems = folder.problems("".join(f'[zone."{name}"]\n' for name in names))
    for name, problem in zip(names, problems, strict=True):
        assert name in problem


def test_no_row_hides_the_faults_of_the_others(folder: Folder):
    rows = '[{ adress = "192.0.2.1" }, {}, { address = "192.0.2.1/24" }, "any", { key = "no" }]'
    problems = folder.problems(
        REMOTE + f'[zone."example.com"]\nprimaries = ["a", 5, "nobody", "a"]\nallow-transfer = {rows}\n'
    )
    places = [problem.split(": ")[1].removeprefix('zone."example.com".') for problem in problems]
    assert places == [
        "primaries[1]",
        "primaries[2]",
        "primaries[3]",
        "allow-transfer[0].adress",
        "allow-transfer[1]",
        "allow-transfer[2].address",
        "allow-transfer[3]",
        "allow-transfer[4].key",
    ]


def test_places_in_a_list_are_in_the_order_of_their_numbers(folder: Folder):
    problems = folder.problems("[server]\nlisten = [" + ", ".join(["1"] * 12) + "]\n")
    assert [problem.split(": ")[1] for problem in problems] == [f"server.listen[{index}]" for index in range(12)]


def test_names_that_no_file_can_have_are_reported_like_missing_files(folder: Folder):
    long_name = "a-" * 200
    problems = folder.problems(f'include = ["{long_name}.toml"]\n[key.k]\nsecret-file = "{long_name}"\n')
    assert all("File name too long" in problem for problem in problems)
    config = folder.load(f'[zone.own]\ntype = "primary"\nfile = "{long_name}"\n')
    assert "there is no zone file" in config.warnings[0]


def test_links_in_a_circle_are_reported(folder: Folder):
    (folder.path / "loop.toml").symlink_to("loop.toml")
    [problem] = folder.problems('include = ["loop.toml"]\n')
    assert "cannot be read" in problem


@pytest.mark.parametrize(
    "message",
    [
        f"Cannot declare ('{SECRET}' twice (at line 1, column 1)",
        f"Cannot declare (Key {SECRET}) twice (at line 1, column 1)",
        f"Unheard of: '{SECRET}' (at line 1, column 1)",
        f'Unheard of: "{SECRET}" (at line 1, column 1)',
        f"Unheard of: ('key', '{SECRET}') (at line 1, column 1)",
    ],
)
def test_what_another_version_says_of_syntax_shows_no_secret_either(message: str):
    text = sources._syntax_text(message)
    assert text.startswith("TOML: ")
    assert SECRET[:10] not in text
