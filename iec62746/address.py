"""Where a message goes: legal names, the three kinds of address, and patterns over nodes."""

import re
from dataclasses import dataclass
from typing import Final

from iec62746.errors import InvalidAddress

# 62746-3 leaves names open. Ours are words that every transport can carry as they are: as a part of a queue's name,
# of a routing key, of a NATS subject or of a file's name, with nothing to escape and no wildcard among them.
LONGEST_WORD: Final = 64
MOST_WORDS: Final = 16
# An AMQP 0-9-1 routing key has room for 255 octets; the rest is for what a transport puts before the name.
LONGEST_NODE: Final = 200

_LEGAL: Final = f"1 to {LONGEST_WORD} of A-Z a-z 0-9 _ -"
_WORD: Final = rf"[A-Za-z0-9_-]{{1,{LONGEST_WORD}}}"
_SOME: Final = rf"(?:{_WORD}|\*)"
_NAME: Final = re.compile(_WORD)
_NODE: Final = re.compile(rf"{_WORD}(?:\.{_WORD}){{0,{MOST_WORDS - 1}}}")
_PATTERN: Final = re.compile(rf"(?:{_SOME}\.){{0,{MOST_WORDS - 1}}}(?:{_SOME}|#)")
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]")


def check_name(name: str, what: str = "party name") -> None:
    """Raise `InvalidAddress` unless `name` is a legal name of a party, domain or role; messages say `what` it is."""
    if not _NAME.fullmatch(name):
        raise InvalidAddress(f"{_shown(name)} is no legal {what}: {_flaw(name)}; legal is {_LEGAL}")


def check_node(name: str) -> None:
    """Raise `InvalidAddress` unless `name` is a legal name of a node: words with dots between (62746-3, 5.6)."""
    if len(name) > LONGEST_NODE or not _NODE.fullmatch(name):
        words = f"1 to {MOST_WORDS} words with dots between, of {_LEGAL} each, {LONGEST_NODE} octets in all"
        raise InvalidAddress(f"{_shown(name)} is no legal node name: {_flaw_of_words(name)}; legal is {words}")


def check_pattern(pattern: str) -> None:
    """Raise `InvalidAddress` unless `pattern` is a node name in which words may be `*` and the last may be `#`."""
    if len(pattern) > LONGEST_NODE or not _PATTERN.fullmatch(pattern):
        words = "a node name where any word may be * (one word) and the last may be # (the node and all below)"
        raise InvalidAddress(f"{_shown(pattern)} is no legal pattern: {_flaw_of_pattern(pattern)}; legal is {words}")


def matches(pattern: str, node: str) -> bool:
    """Return whether `node` fits: `*` is any one word, a last `#` is the node itself and all below (62746-3, 5.6)."""
    wanted, words = pattern.split("."), node.split(".")
    if wanted[-1] == "#":
        wanted.pop()
        words = words[: len(wanted)]
    return len(wanted) == len(words) and all(want in ("*", word) for want, word in zip(wanted, words, strict=True))


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where requests to one party go, and a VEN's events to the VTN (62746-3, 5.5.2, 5.5.4)."""

    party: str

    def __post_init__(self) -> None:
        """Refuse an illegal name."""
        check_name(self.party)


@dataclass(frozen=True, slots=True)
class Node:
    """Where the VTN's events go, for the VENs that subscribed (62746-3, 3.1.8, 5.6)."""

    name: str

    def __post_init__(self) -> None:
        """Refuse an illegal name."""
        check_node(self.name)


@dataclass(frozen=True, slots=True)
class Presence:
    """Where a party announces its state (62746-3, 5.5.5); None stands for everybody's."""

    party: str | None = None

    def __post_init__(self) -> None:
        """Refuse an illegal name."""
        if self.party is not None:
            check_name(self.party)


Address = Inbox | Node | Presence
"""Every kind of address that a message can be sent to or received from."""


def _flaw(word: str) -> str:
    """Return what is wrong with `word`, which is not legal."""
    if not word:
        return "it is empty"
    if illegal := _ILLEGAL.search(word):
        return f"{illegal[0]!r} is not allowed"
    return f"it has {len(word)} characters"


def _flaw_of_words(name: str) -> str:
    """Return what is wrong with the node name `name`, which is not legal."""
    words = name.split(".")
    if len(words) > MOST_WORDS:
        return f"it has {len(words)} words"
    wrong = next((word for word in words if not _NAME.fullmatch(word)), None)
    if wrong is None:
        return f"it has {len(name)} octets"
    return _flaw(wrong) if wrong == name else f"in the word {_shown(wrong)}, {_flaw(wrong)}"


def _flaw_of_pattern(pattern: str) -> str:
    """Return what is wrong with `pattern`, which is not legal."""
    *above, last = pattern.split(".")
    if "#" in above:
        return "'#' is not its last word"
    # Any legal word will do in place of a wildcard: what is left to find is wrong with the others.
    return _flaw_of_words(".".join("x" if word in ("*", "#") else word for word in (*above, last)))


def _shown(name: str) -> str:
    """Return `name` quoted, and cut where somebody made it very long."""
    return repr(name if len(name) <= LONGEST_NODE else f"{name[:LONGEST_NODE]}…")
