"""Suggestions, and how text from a file is shown."""

import pytest

from nameserver.config.suggest import did_you_mean, dotted, may_be_secret, nearest, printable, shown

ZONE = ["primaries", "also-notify", "allow-transfer", "file", "template"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("primarys", "primaries"),
        ("ALLOW_TRANSFER", "allow-transfer"),
        ("notify", "also-notify"),
        ("zonefile", "file"),
        ("pattern", "template"),
        ("qqq", None),
    ],
)
def test_the_nearest_known_name_is_found(typed, meant):
    assert nearest(typed, ZONE) == meant


def test_few_known_names_are_listed_where_none_is_near():
    assert did_you_mean("qqq", ["b", "a"]) == " (known: a, b)"
    assert did_you_mean("qqq", []) == ""
    assert did_you_mean("qqq", [f"name{number}" for number in range(9)]) == ""


def test_paths_are_written_as_in_toml():
    assert dotted(("zone", "example.com", "allow-transfer", 0, "key")) == 'zone."example.com".allow-transfer[0].key'
    assert dotted(("zone", 'a"b\n')) == 'zone."a\\"b\\n"'
    assert dotted(()) == ""


def test_a_key_that_is_called_like_a_secret_is_not_shown():
    assert dotted(("key", "c2VjcmV0LXNlY3JldA==", "secret")) == 'key."(not shown)".secret'
    assert dotted(("key", "transfer-key.example")) == 'key."transfer-key.example"'


def test_text_is_shown_on_one_line_and_not_endlessly():
    assert printable("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\n\\u202eb"
    assert len(printable("x" * 10_000)) < 200


def test_what_looks_like_a_secret_is_not_shown():
    secret = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="
    assert may_be_secret(f"hmac-sha256:key:{secret}")
    assert secret not in shown(secret)
    assert shown("primary-a") == '"primary-a"'
