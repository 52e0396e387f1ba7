"""Secrets and the files they stand in."""

import os
import stat
from pathlib import Path

import pytest

from nameserver.config import keys
from nameserver.config.values import BadValue

SECRET = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="


@pytest.fixture
def private(tmp_path: Path) -> Path:
    path = tmp_path / "k.secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def refusal_of(path: Path) -> str:
    with pytest.raises(BadValue) as caught:
        keys.secret_of_file(path.parent, path.name)
    assert SECRET[:10] not in str(caught.value)
    return str(caught.value)


def test_a_private_file_is_read_without_its_line_end(private: Path):
    assert keys.secret_of_file(private.parent, private.name) == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_file_that_others_can_use_is_refused_with_what_to_run(private: Path, mode: int):
    private.chmod(mode)
    assert f"chmod 600 {private}" in refusal_of(private)


def test_a_link_that_only_we_can_have_set_is_followed(private: Path):
    """As container platforms mount secrets: NAME → ..data/NAME, ..data → a directory that is exchanged as a whole."""
    folder = private.parent / "..2026_11_21"
    folder.mkdir()
    private.rename(folder / "k.secret")
    (private.parent / "..data").symlink_to(folder.name)
    private.symlink_to("..data/k.secret")
    assert keys.secret_of_file(private.parent, private.name) == SECRET
    private.parent.chmod(0o1777)  # in a sticky directory nobody else can replace it
    assert keys.secret_of_file(private.parent, private.name) == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_what_a_link_leads_to_is_judged_as_if_it_were_named(private: Path, mode: int):
    private.chmod(mode)
    link = private.with_name("link")
    link.symlink_to(private)
    assert "can be read or written by others" in refusal_of(link)


def test_the_directory_that_a_link_leads_to_is_judged(private: Path, tmp_path: Path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    private.rename(open_to_all / "k")
    open_to_all.chmod(0o777)
    private.symlink_to(open_to_all / "k")
    assert f"chmod o-w {open_to_all}" in refusal_of(private)


def test_a_link_where_everyone_can_replace_it_is_refused(private: Path, tmp_path: Path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    (open_to_all / "link").symlink_to(private)
    open_to_all.chmod(0o777)
    assert f"chmod o-w {open_to_all}" in refusal_of(open_to_all / "link")


def test_a_link_that_another_user_has_set_is_refused(private: Path, monkeypatch: pytest.MonkeyPatch):
    link = private.with_name("link")
    link.symlink_to(private)
    path_lstat = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: _with_owner(path_lstat(path), os.geteuid() + 12345))
    assert "that user" in refusal_of(link)


def test_links_without_end_and_links_to_nothing_are_refused(private: Path):
    (private.parent / "circle").symlink_to("circle")
    assert "link to a link" in refusal_of(private.parent / "circle")
    (private.parent / "nowhere").symlink_to("missing")
    assert "No such file" in refusal_of(private.parent / "nowhere")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "not a regular file" in refusal_of(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    assert "not a regular file" in refusal_of(tmp_path / "folder")


def test_a_file_of_another_user_is_refused(private: Path, monkeypatch: pytest.MonkeyPatch):
    os_fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda handle: _with_owner(os_fstat(handle), os.geteuid() + 12345))
    assert "its owner must be root or the user we run as" in refusal_of(private)


def _with_owner(status: os.stat_result, owner: int) -> os.stat_result:
    fields = list(status)
    fields[stat.ST_UID] = owner
    return os.stat_result(fields)


def test_a_directory_in_which_everyone_can_replace_the_file_is_refused(private: Path):
    private.parent.chmod(0o777)
    assert f"chmod o-w {private.parent}" in refusal_of(private)
    private.parent.chmod(0o1777)  # sticky: others cannot
    assert keys.secret_of_file(private.parent, private.name) == SECRET


def test_a_credential_of_the_service_manager_may_have_group_bits(private: Path, monkeypatch: pytest.MonkeyPatch):
    private.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(private.parent))
    assert keys.secret_of_file(private.parent, private.name) == SECRET


def test_a_missing_file_is_refused(tmp_path: Path):
    assert "No such file" in refusal_of(tmp_path / "none.secret")


def test_a_large_or_binary_file_is_refused(private: Path):
    private.write_bytes(b"\xff\xfe")
    assert "does not hold text" in refusal_of(private)
    private.write_text("x" * 70_000)
    assert "larger than" in refusal_of(private)


def test_a_key_block_where_a_secret_belongs_is_recognised(private: Path):
    private.write_text(f'key k {{ secret "{SECRET}"; }};')
    assert "include" in refusal_of(private)


def test_white_space_around_a_secret_is_taken_off_and_said():
    secret, warnings = keys.decode_secret(f" {SECRET}\n", "hmac-sha256")
    assert secret == b"sixteen bytes of the secret!!!!!"
    assert len(warnings) == 1
    assert "white space" in warnings[0]


def test_a_secret_shorter_than_the_digest_is_taken_with_a_warning():
    assert keys.decode_secret(SECRET, "hmac-sha256")[1] == []
    assert "fewer than the 64" in keys.decode_secret(SECRET, "hmac-sha512")[1][0]
    assert keys.decode_secret(SECRET, None)[1] == []


@pytest.mark.parametrize("bad", [SECRET[:-1], SECRET + "=", SECRET[:20] + "\n" + SECRET[20:], "ä" + SECRET, SECRET[:8]])
def test_no_part_of_a_broken_secret_is_shown(bad: str):
    with pytest.raises(BadValue) as caught:
        keys.decode_secret(bad, "hmac-sha256")
    assert bad[1:6] not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("text", ["HMAC-SHA256", "hmac-sha256.", "hmac-sha256"])
def test_algorithm_names_are_understood_in_any_case_and_with_a_dot(text: str):
    assert keys.algorithm_name(text, allow_weak=False) == "hmac-sha256"


def test_weak_algorithms_need_permission_and_md5_gets_none():
    assert keys.algorithm_name("hmac-sha1", allow_weak=True) == "hmac-sha1"
    for name, allowed in (
        ("hmac-sha1", False),
        ("hmac-sha224", False),
        ("HMAC-MD5.SIG-ALG.REG.INT.", True),
        ("x", True),
    ):
        with pytest.raises(BadValue):
            keys.algorithm_name(name, allowed)
