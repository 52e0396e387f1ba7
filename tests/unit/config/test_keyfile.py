"""BIND key blocks."""

import pytest

from nameserver.config.keyfile import read_key_blocks

SECRET = "c2l4dGVlbiBieXRlcyBvZiB0aGUgc2VjcmV0ISEhISE="


def test_what_tsig_keygen_prints_is_read():
    blocks, faults = read_key_blocks(f'key "k.example" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n')
    assert not faults
    [block] = blocks
    assert (block.name, block.algorithm, block.secret) == ("k.example", "hmac-sha256", SECRET)
    assert (block.line, block.algorithm_line, block.secret_line) == (1, 2, 3)


def test_comments_order_quotes_and_several_blocks_do_not_matter():
    text = f"""# one
    // two
    /* three
    */ key a {{ secret {SECRET}; algorithm "hmac-sha512"; }}; key "b\\"c" {{ /* x */ algorithm
    hmac-sha256 ; // y
    secret "{SECRET}" # z
    ; }};"""
    blocks, faults = read_key_blocks(text)
    assert not faults
    assert [(block.name, block.algorithm, block.line) for block in blocks] == [
        ("a", "hmac-sha512", 4),
        ('b"c', "hmac-sha256", 4),
    ]
    assert blocks[0].secret == SECRET


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "holds no key block"),
        ("\n# nothing\n", 1, "holds no key block"),
        ('zone "x" {};', 1, 'expected "key", got "zone"'),
        ("\n[key.k]\n", 2, "must be named *.toml"),
        ("key { };", 1, "expected the key's name"),
        ('key "k" algorithm x;', 1, 'expected "{", got "algorithm"'),
        ('key "k" {\nalgorithm hmac-sha256', 2, 'ends where ";" was expected'),
        ('key "k" {\n', 1, 'ends where "}" was expected'),
        ('key "k" { secret "x"; }', 1, 'ends where ";" was expected'),
        ('key "k" { secret; };', 1, "expected a value"),
        ('key "k" {\n secret "x', 2, "does not end"),
        ('key "k" { /* secret "x"; };', 1, "does not end"),
        ('key "k" { secret "x";\n secret "y"; };', 2, "stands twice"),
        ('key "k" {\n secert "x"; };', 2, 'did you mean "secret"?'),
    ],
)
def test_what_is_no_key_block_is_reported_with_its_line(text, line, words):
    _, [fault] = read_key_blocks(text)
    assert fault.line == line
    assert words in fault.text


@pytest.mark.parametrize(
    "text",
    [
        f'key "k" {{ secret "{SECRET}" }};',
        f"key k {{ {SECRET} }};",
        f"{SECRET}",
        f'key k "{SECRET}";',
        f'key k {{ "{SECRET}" x; }};',
        f"key k {{ secret {SECRET[:6]} {SECRET[:12]} {SECRET[12:]}; }};",
        f"key k {{ }}; {SECRET[:12]} {{ }};",
    ],
)
def test_no_fault_shows_the_secret(text):
    blocks, faults = read_key_blocks(text)
    assert faults
    assert SECRET[:12] not in str(faults)
    assert SECRET[:12] not in repr(blocks)
