"""TOML that knows its lines: where each key stands, and tables whose errors say so."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Self, TypeVar

from iec62746.errors import DomainError

KeyPath = tuple[str, ...]
_Choice = TypeVar("_Choice", bound=str)

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_GAP: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_HEADER: Final = re.compile(rf"\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_KEY: Final = re.compile(_DOTTED)
# Up to two quotes may stand before the three that end a multi-line string, hence the greedy tail.
_TOKEN: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})'''
    r"""|'''.*?'''(?:'{0,2})"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\#[^\n]*|[\[\]{}\n]|[^\[\]{}\n"'\#]+""",
    re.DOTALL,
)
_ESCAPES: Final = {ord('"'): '\\"', ord("\\"): "\\\\"} | {code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F)}
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLACE: Final = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_KINDS: Final = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    list: "an array",
    dict: "a table",
}
# Far above what anybody needs, and still a number of seconds that can be added to a date.
_MOST: Final = 1_000_000_000


def lines_of(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each key of a TOML text that tomllib accepts; an inline table is one key.

    A table that only its children name stands where the first of them stands, a repeated one where it stands first.
    """
    stated: dict[KeyPath, int] = {}
    implied: dict[KeyPath, int] = {}
    for path, line in _keys(text.replace("\r\n", "\n")):
        stated.setdefault(path, line)
        for end in range(1, len(path)):
            implied.setdefault(path[:end], line)
    return implied | stated


def dotted(path: Collection[str]) -> str:
    """Return the keys of `path` as TOML writes them: dots between, quotes where a key needs them."""
    return ".".join(key if _BARE.fullmatch(key) else quoted(key) for key in path)


def quoted(text: str) -> str:
    """Return `text` as a basic string of TOML."""
    return f'"{text.translate(_ESCAPES)}"'


def meant(word: str, known: Collection[str]) -> str:
    """Return a question such as "did you mean 'nouns'? " where a known word is close to `word`, else nothing."""
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a TOML file; what is wrong with it is a `DomainError` of the file, the dotted key and the line."""

    values: Mapping[str, object]
    file: str
    path: KeyPath = ()
    lines: Mapping[KeyPath, int] = field(repr=False)

    @classmethod
    def parse(cls, text: str, file: str) -> Self:
        """Return the whole `text` as a table, or raise where it is no TOML."""
        try:
            values = tomllib.loads(text)
        except (ValueError, RecursionError) as exc:
            raise DomainError(f"this is not TOML: {exc}", file=file, line=_line_of_error(str(exc), text)) from exc
        return cls(values=values, file=file, lines=lines_of(text))

    def error(self, reason: str, *keys: str) -> DomainError:
        """Return the error to raise for what stands at `keys` below this table."""
        path = (*self.path, *keys)
        return DomainError(reason, file=self.file, key=dotted(path), line=line_at(path, self.lines))

    def only(self, *known: str, what: str = "key") -> None:
        """Refuse any other key than these; `what` says what a key is here."""
        for key in self.values:
            if key not in known:
                raise self.error(f"unknown {what}; {meant(key, known)}known here: {', '.join(known)}", key)

    def table(self, key: str) -> "Table":
        """Return the table at `key`, empty where there is none."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.error(f"must be a table, not {kind_of(value)}", key)
        return Table(values=value, file=self.file, path=(*self.path, key), lines=self.lines)

    def tables(self) -> "dict[str, Table]":
        """Return all that stands here, each of which must be a table."""
        return {key: self.table(key) for key in self.values}

    def text(self, key: str, default: str | None = None) -> str:
        """Return the string at `key`, which must be there where there is no `default`."""
        value = self.values.get(key, default)
        if value is None:
            raise self.error(f'is missing: add {key} = "…"', key)
        if not isinstance(value, str):
            raise self.error(f"must be a string, not {kind_of(value)}", key)
        return value

    def choice(self, key: str, choices: tuple[_Choice, ...]) -> _Choice:
        """Return the one of `choices` that stands at `key`, the first where there is none."""
        value = self.text(key, choices[0])
        for choice in choices:
            if choice == value:
                return choice
        raise self.error(f"{value!r} is unknown; {meant(value, choices)}known here: {', '.join(choices)}", key)

    def flag(self, key: str) -> bool:
        """Return the boolean at `key`, false where there is none."""
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"must be true or false, not {kind_of(value)}", key)
        return value

    def number(self, key: str, default: float) -> float:
        """Return the positive number at `key`, of the kind of `default`."""
        value = self.values.get(key, default)
        is_whole = isinstance(default, int)
        if isinstance(value, bool) or not isinstance(value, int if is_whole else (int, float)):
            raise self.error(f"must be {'an integer' if is_whole else 'a number'}, not {kind_of(value)}", key)
        # NaN, which TOML has, is in no range.
        if not 0 < value <= _MOST:
            raise self.error(f"must be more than 0 and at most {_MOST:_}", key)
        return value if is_whole else float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the array of strings at `key`, empty where there is none."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.error(f'must be an array of strings, such as ["A", "B"], not {kind_of(value)}', key)
        for item in value:
            if not isinstance(item, str):
                raise self.error(f"must be an array of strings, and holds {kind_of(item)}", key)
        return tuple(value)


def table_text(path: KeyPath, values: Mapping[str, object]) -> str:
    """Return a table as TOML writes it; the keys of `values` are written as they are."""
    return "\n".join((f"[{dotted(path)}]", *(f"{key} = {_value_text(value)}" for key, value in values.items())))


def line_at(path: KeyPath, lines: Mapping[KeyPath, int]) -> int:
    """Return the line of `path`, else that of the nearest table it would stand in, else the first."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)


def kind_of(value: object) -> str:
    """Return what TOML calls such a value, with its article."""
    return _KINDS.get(type(value), "a date or time")


def _keys(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Yield each header and each key with its line; a key's path begins with its table's."""
    table: KeyPath = ()
    place, counted, line = 0, 0, 1
    while (place := _skip(_GAP, text, place)) < len(text):
        line, counted = line + text.count("\n", counted, place), place
        if header := _HEADER.match(text, place):
            table, place = _path(header[1]), header.end()
            yield table, line
        else:
            end = _skip(_KEY, text, place)
            yield table + _path(text[place:end]), line
            place = _end_of_value(text, end)


def _path(key: str) -> KeyPath:
    """Return the keys that `key`, as it is written, stands for: tomllib knows the escapes."""
    path: list[str] = []
    value: object = tomllib.loads(f"{key} = 0")
    while isinstance(value, dict):
        [(part, value)] = value.items()
        path.append(part)
    return tuple(path)


def _end_of_value(text: str, place: int) -> int:
    """Return where the value that begins at `place` ends: at a newline outside of every bracket."""
    depth = 0
    while place < len(text) and not (text[place] == "\n" and depth == 0):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(text[place], 0)
        place = _skip(_TOKEN, text, place)
    return place


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    """Return where `pattern`, which matches at `place`, ends."""
    found = pattern.match(text, place)
    # Lines are for messages only: were there TOML we do not know, the keys after it would lack theirs, and no more.
    return found.end() if found else len(text)


def _line_of_error(message: str, text: str) -> int:
    """Return the line that tomllib names in `message`, or the last where it names the end."""
    found = _PLACE.search(message)
    if not found:
        return 0
    return int(found[1]) if found[1] else text.count("\n") + 1


def _value_text(value: object) -> str:
    """Return a boolean, number, string or array of them as TOML writes it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value_text, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)
