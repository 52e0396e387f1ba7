"""Line numbers of TOML paths."""

from nameserver.config.positions import find_positions


def lines_of(text: str) -> dict[tuple[str | int, ...], int]:
    return find_positions(text)


def test_tables_and_keys_have_the_line_they_stand_on():
    lines = lines_of('# a comment\n\n[server]\nworkers = 1\n\n[zone."example.com"]\nprimaries = ["a"]\n')
    assert lines["server",] == 3
    assert lines["server", "workers"] == 4
    assert lines["zone",] == lines["zone", "example.com"] == 6
    assert lines["zone", "example.com", "primaries"] == 7


def test_dotted_and_quoted_keys_are_taken_apart():
    lines = lines_of('a.b . "c.d".\'e"f\' = 1\n[ x . "y\\u002e" ]\nz = 2\n')
    assert lines["a", "b", "c.d", 'e"f'] == 1
    assert lines["x", "y."] == 2
    assert lines["x", "y.", "z"] == 3


def test_elements_of_a_list_over_several_lines_have_their_own_lines():
    lines = lines_of('a = [ # comment ]\n  "x",\n  [\n    1, 2,\n    3 ],\n]\nb = 1\n')
    assert [lines["a", 0], lines["a", 1], lines["a", 1, 0], lines["a", 1, 2]] == [2, 3, 4, 5]
    assert lines["b",] == 7


def test_inline_tables_are_entered():
    lines = lines_of('rows = [\n  { address = "192.0.2.1", key.name = "k" },\n  {},\n  { b = { c = 1 } },\n]\n')
    assert lines["rows", 0, "address"] == lines["rows", 0, "key", "name"] == 2
    assert lines["rows", 1] == 3
    assert lines["rows", 2, "b", "c"] == 4


def test_arrays_of_tables_are_counted():
    lines = lines_of("[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3\n[[a.c]]\nz = 4\n")
    assert lines["a", 0, "x"] == 2
    assert lines["a", 1, "x"] == 4
    assert lines["a", 1, "b", "y"] == 6
    assert lines["a", 1, "c", 0, "z"] == 8


def test_strings_of_all_kinds_hide_what_looks_like_syntax():
    text = (
        'a = "# [not] = {a} \\" table"\n'
        "b = '[no] \\'\n"
        'c = """\n[no]\nx = 1\\"""\n""""\n'
        "d = '''\n[no]\ny = 2'''\n"
        'e = ""\nf = """"""\ng = 1979-05-27 07:32:00 # date\nh = -1_0.5e3\n[t]\n'
    )
    lines = lines_of(text)
    assert {key[0]: line for key, line in lines.items()} == {
        "a": 1, "b": 2, "c": 3, "d": 7, "e": 10, "f": 11, "g": 12, "h": 13, "t": 14,
    }  # fmt: skip


def test_what_is_not_toml_gives_the_lines_found_so_far():
    """It is only ever given valid text; should that fail, it must neither raise nor hang."""
    assert lines_of("a = 1\n]]\n") == {("a",): 1}
    assert lines_of("a = [1")["a", 0] == 1
    assert lines_of('a = "') == {("a",): 1}
    assert lines_of("a") == {}
    assert lines_of("[a") == {}
