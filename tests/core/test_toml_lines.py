import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iec62746._toml import Table, dotted, line_at, lines_of, quoted, table_text
from iec62746.errors import DomainError

# Each holds what a careless reader would take for a header, a key, a comment or the end of the value.
VALUES = [
    "1",
    "1979-05-27T07:32:00Z",
    '"[no] # key = 1"',
    r'"a \" # ["',
    "'C:\\'",
    '""',
    "''",
    '"""\n[no]\nno = 1 # "" \\"""\n"""',
    '""""one quote before the end""""',
    '""""two quotes before the end"""""',
    "'''\n[no]\n'no' = 1 '' \\\n'''",
    "''''one quote before the end''''",
    "''''two quotes before the end'''''",
    "[1, 2]  # ] [no]",
    '[\n  "]", # ]\n  [ # [\n  "#" ],\n]',
    "{ no = 1, 'no.2' = [1,\n2], x = { y = '}' } }",
]
PARTS = st.sampled_from(["a", "b-1", "vén", "price.north", "a b", 'say "so"', "#", "]", "=", "\\", "\n", ""])
GAPS = st.lists(st.sampled_from(["", "  ", "\t# [no]", "# no = 1", '# "\'\'\' """']), max_size=2)


def test_a_table_and_its_keys_stand_on_their_lines() -> None:
    lines = lines_of('# first\n[domain]\nname = "north"\n\nvtn = "x"\n')

    assert lines == {("domain",): 2, ("domain", "name"): 3, ("domain", "vtn"): 5}


def test_a_dotted_key_stands_where_it_is_written_and_its_tables_where_they_first_are() -> None:
    lines = lines_of("[roles.load]\nserve.create = []\nserve . get = []\n")

    assert lines[("roles", "load", "serve", "get")] == 3
    assert lines[("roles", "load", "serve")] == 2
    assert lines[("roles",)] == 1


def test_a_quoted_key_with_dots_is_one_key() -> None:
    lines = lines_of('[nodes."price.north"]\n\'a.b\' = 1\n"\\u0063" = 2\n')

    assert lines[("nodes", "price.north", "a.b")] == 2
    assert lines[("nodes", "price.north", "c")] == 3


def test_a_table_stands_at_its_header_even_where_a_child_came_first() -> None:
    lines = lines_of("[a.b]\nx = 1\n[a]\ny = 2\n")

    assert lines[("a",)] == 3


def test_an_inline_table_is_one_key() -> None:
    lines = lines_of("a = { b = 1, c = { d = 2 } }\n")

    assert lines == {("a",): 1}


def test_a_repeated_table_stands_where_it_stands_first() -> None:
    lines = lines_of("[[a]]\nb = 1\n[[a]]\nb = 2\nc = 3\n")

    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "c"): 5}


@pytest.mark.parametrize("value", VALUES)
def test_what_stands_in_a_value_is_no_key(value: str) -> None:
    text = f"before = {value}\nafter = 1"
    tomllib.loads(text)

    assert lines_of(text) == {("before",): 1, ("after",): text.count("\n") + 1}


def test_lines_that_end_as_windows_ends_them_count_once() -> None:
    lines = lines_of('a = """\r\nx\r\n"""\r\n\r\n[b] # c\r\nd = 1\r\n')

    assert lines == {("a",): 1, ("b",): 5, ("b", "d"): 6}


def test_an_empty_text_has_no_keys() -> None:
    assert lines_of("# only a comment") == {}


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple[str, ...], int]]:
    """Return a TOML text, and the line of each of its keys as counted while it was written."""
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, is_header in enumerate(draw(st.lists(st.booleans(), max_size=8))):
        lines += draw(GAPS)
        # The number keeps each key, and so each table that it makes, from standing twice.
        path = (f"k{number}", *draw(st.lists(PARTS, max_size=3)))
        table, full = (path, path) if is_header else (table, (*table, *path))
        for end in range(1, len(full) + 1):
            expected.setdefault(full[:end], sum(line.count("\n") + 1 for line in lines) + 1)
        key = draw(st.sampled_from([".", " . "])).join(map(quoted_or_bare, path))
        tail = draw(st.sampled_from(["", "  ", "  # [no]"]))
        lines.append(f"[ {key} ]{tail}" if is_header else f"{key} = {draw(st.sampled_from(VALUES))}{tail}")
    return "\n".join(lines), expected


@given(documents())
def test_each_key_of_any_document_stands_where_it_was_written(document: tuple[str, dict[tuple[str, ...], int]]) -> None:
    text, expected = document
    tomllib.loads(text)

    assert lines_of(text) == expected


@given(st.text())
def test_a_quoted_text_is_read_as_it_was(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text)}") == {"a": text}


@given(st.lists(st.text(), min_size=1).map(tuple))
def test_a_dotted_path_is_read_as_it_was(path: tuple[str, ...]) -> None:
    assert list(lines_of(f"{dotted(path)} = 1"))[-1] == path


def test_a_table_is_read_as_it_was_written() -> None:
    values = {"a": "x", "b": True, "c": 1.5, "d": 2, "e.f": ("x", "y")}

    text = table_text(("t", "u.v"), values)

    assert tomllib.loads(text) == {"t": {"u.v": {"a": "x", "b": True, "c": 1.5, "d": 2, "e": {"f": ["x", "y"]}}}}


def test_what_is_missing_stands_where_its_table_does() -> None:
    lines = {("a",): 2, ("a", "b"): 3}

    assert [line_at(path, lines) for path in [("a", "b", "c", "d"), ("a", "x"), ("y",)]] == [3, 2, 1]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb =\n", 2), ("a = 1\n\na = 2", 3), ("a = 1\nb = [1,\n", 3), ("a = " + "[" * 100_000, 0)],
)
def test_what_is_no_toml_is_an_error_with_its_line(text: str, line: int) -> None:
    with pytest.raises(DomainError) as caught:
        Table.parse(text, "x.toml")

    assert (caught.value.file, caught.value.line) == ("x.toml", line)
    assert "this is not TOML" in caught.value.reason


def quoted_or_bare(part: str) -> str:
    return dotted((part,))
