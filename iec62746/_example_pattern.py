"""Text that matches a pattern of XML Schema: its regular expressions have no anchors, and classes of their own."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

_Contains = Callable[[str], bool]

_ASCII: Final = "".join(map(chr, range(0x20, 0x7F)))
_ALPHABET: Final = _ASCII + "\t\nÄÖÜßäéöü°µ€Ωαβжя"
_WORD: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LARGEST_RANGE: Final = 512
_BLOCKS: Final = {"BasicLatin": (0, 0x7F), "Latin-1Supplement": (0x80, 0xFF), "Greek": (0x370, 0x3FF)}
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_QUANTITY: Final = re.compile(r"\{(\d+)(,(\d*))?\}")


class Unsupported(Exception):
    """A pattern is not one of XML Schema, or has what no text is made for here."""


@dataclass(frozen=True, slots=True)
class _Set:
    """A class of characters: those that it may be shown by, and whether it has a given one."""

    samples: str
    contains: _Contains


@dataclass(frozen=True, slots=True)
class _Piece:
    """An atom, and how often it stands there; `high` is None for any number."""

    atom: "_Set | _Choice"
    low: int
    high: int | None


_Branch = tuple[_Piece, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Branches, of which one matches."""

    branches: tuple[_Branch, ...]


def matching(pattern: str, random: Random, stretch: int) -> str:
    """Return text that matches `pattern`; what may be repeated is, up to `stretch` times more than it must be.

    Raises `Unsupported`.
    """
    return _text(_parsed(pattern), random, stretch)


def _text(node: "_Set | _Choice", random: Random, stretch: int) -> str:
    if isinstance(node, _Set):
        return random.choice(node.samples)
    made = list[str]()
    for piece in random.choice(node.branches):
        most = piece.low + stretch if piece.high is None else min(piece.high, piece.low + stretch)
        made += [_text(piece.atom, random, stretch) for _ in range(random.randint(piece.low, most))]
    return "".join(made)


@cache
def _parsed(pattern: str) -> _Choice:
    reader = _Reader(pattern)
    made = reader.choice()
    if not reader.is_at_end:
        raise Unsupported(f"there is a ) too many at {reader.at}")
    return made


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self.at = pattern, 0

    @property
    def is_at_end(self) -> bool:
        return self.at >= len(self._pattern)

    def _peek(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def _next(self) -> str:
        if self.is_at_end:
            raise Unsupported("it ends too early")
        self.at += 1
        return self._pattern[self.at - 1]

    def _takes(self, text: str) -> bool:
        is_there = self._pattern.startswith(text, self.at)
        self.at += len(text) if is_there else 0
        return is_there

    def choice(self) -> _Choice:
        branches = [self._branch()]
        while self._takes("|"):
            branches.append(self._branch())
        return _Choice(tuple(branches))

    def _branch(self) -> _Branch:
        pieces = list[_Piece]()
        while not self.is_at_end and self._peek() not in "|)":
            atom = self._atom()
            pieces.append(_Piece(atom, *self._quantity()))
        return tuple(pieces)

    def _quantity(self) -> tuple[int, int | None]:
        for sign, bounds in (("?", (0, 1)), ("*", (0, None)), ("+", (1, None))):
            if self._takes(sign):
                return bounds
        found = _QUANTITY.match(self._pattern, self.at)
        if found is None:
            return 1, 1
        self.at = found.end()
        low, comma, high = found.groups()
        return int(low), (int(high) if high else None) if comma else int(low)

    def _atom(self) -> "_Set | _Choice":
        sign = self._next()
        if sign == "(":
            inner = self.choice()
            if not self._takes(")"):
                raise Unsupported("a ( is not closed")
            return inner
        if sign == "[":
            return self._shown(self._class())
        if sign == "\\":
            return self._shown(self._escape())
        if sign == ".":
            return _Set(_ASCII, lambda one: one not in "\n\r")
        if sign in "?*+{}])":
            raise Unsupported(f"there is a {sign} that follows nothing at {self.at - 1}")
        return _one(sign)

    def _shown(self, made: _Set) -> _Set:
        if not made.samples:
            raise Unsupported(f"no character is known for what ends at {self.at}")
        return made

    def _class(self) -> _Set:
        """Return the class that begins after its `[`."""
        is_negative = self._takes("^")
        parts = list[_Set]()
        taken: _Set | None = None
        while not self._takes("]") or not parts:
            if parts and self._takes("-["):
                taken = self._class()
                continue
            parts.append(self._part())
        made = _union(parts)
        if is_negative:
            made = _not(made)
        return made if taken is None else _without(made, taken)

    def _part(self) -> _Set:
        """Return one character, one range, or one class by its letter."""
        sign = self._next()
        low = self._escape() if sign == "\\" else _one(sign)
        if len(low.samples) != 1 or self._peek() != "-" or self._pattern[self.at + 1 : self.at + 2] in ("]", "["):
            return low
        self.at += 1
        sign = self._next()
        high = self._escape() if sign == "\\" else _one(sign)
        return _range(low.samples, high.samples)

    def _escape(self) -> _Set:
        letter = self._next()
        if letter in "pP":
            found = re.compile(r"\{([^}]+)\}").match(self._pattern, self.at)
            if found is None:
                raise Unsupported(f"\\{letter} without a {{name}}")
            self.at = found.end()
            made = _property(found[1])
        elif letter.lower() in _CLASSES:
            made = _CLASSES[letter.lower()]
        else:
            return _one(_ESCAPES.get(letter, letter))
        return _not(made) if letter.isupper() else made


def _one(sign: str) -> _Set:
    return _Set(sign, lambda one: one == sign)


def _range(low: str, high: str) -> _Set:
    first, last = ord(low), ord(high)
    if first > last:
        raise Unsupported(f"the range {low}-{high} is empty")
    codes = [*range(first, min(last, first + _LARGEST_RANGE) + 1)]
    shown = [chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF and (code >= 0x20 or code in (9, 10, 13))]
    return _Set("".join(shown), lambda one: low <= one <= high)


def _union(parts: list[_Set]) -> _Set:
    samples = "".join(dict.fromkeys("".join(part.samples for part in parts)))
    return _Set(samples, lambda one: any(part.contains(one) for part in parts))


def _not(made: _Set) -> _Set:
    return _Set("".join(one for one in _ALPHABET if not made.contains(one)), lambda one: not made.contains(one))


def _without(made: _Set, taken: _Set) -> _Set:
    samples = "".join(one for one in made.samples if not taken.contains(one))
    return _Set(samples, lambda one: made.contains(one) and not taken.contains(one))


def _of(contains: _Contains, among: str = _ALPHABET) -> _Set:
    return _Set("".join(one for one in among if contains(one)), contains)


def _property(name: str) -> _Set:
    """Return the characters of a category, such as Lu, or of a block, such as IsBasicLatin."""
    if name.startswith("Is"):
        if name[2:] not in _BLOCKS:
            raise Unsupported(f"\\p{{{name}}} is a block that is not known here")
        return _range(*map(chr, _BLOCKS[name[2:]]))
    return _of(lambda one: unicodedata.category(one).startswith(name), _ALPHABET + _rare(name))


@cache
def _rare(category: str) -> str:
    """Return a character of `category`, which the alphabet may have none of."""
    found = (one for one in map(chr, range(0xA0, 0x3000)) if unicodedata.category(one).startswith(category))
    return next(found, "")


_CLASSES: Final = {
    "s": _Set(" ", lambda one: one in " \t\n\r"),
    "d": _Set("0123456789", lambda one: unicodedata.category(one) == "Nd"),
    "w": _of(lambda one: unicodedata.category(one)[0] not in "PZC", _WORD),
    "i": _of(lambda one: one.isalpha() or one in "_:", _WORD + "_"),
    "c": _of(lambda one: one.isalnum() or one in "-._:·", _WORD + "-._"),
}
