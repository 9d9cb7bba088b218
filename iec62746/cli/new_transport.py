"""Writes a new transport's distribution: the example in examples/transport-nats, without what it knows of NATS.

There is no template to keep: docstrings, harness, tests and steps are those of the example, which has to work.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from iec62746.errors import LocalError
from iec62746.plugins import transports

_LONGEST: Final = 120
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,31}")
_TEXTS: Final = ("pyproject.toml", "README.md", "ci", "tests/test_conformance.py", "iec62746_nats/__init__.py")
_SKELETONS: Final = ("iec62746_nats/transport.py", "iec62746_nats/session.py", "iec62746_nats/harness.py")
_MARKER: Final = "iec62746_nats/py.typed"
# What is the example's only: a line of TOML or shell, a part of the README.
_EXAMPLE_ONLY: Final = re.compile(r"^[^\n]*# example only\n|^<!-- example -->\n.*?^<!-- /example -->\n+", re.M | re.S)
_BODIES: Final = {"capabilities": "return Capabilities(proof=Proof.CLAIMED)"}
"""What is not left to write: the least that the profile core asks for, until the kit has seen more."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def write(name: str, into: Path) -> Path:
    """Write a distribution for `name`:// into the folder `into`/`name`, which must not exist; return the folder.

    Raises `LocalError` for a name that is no scheme or is taken.
    """
    _refuse(name)
    folder, source = into / name, example()
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise LocalError(f"{folder} is there already: choose another name, or another folder by --into") from None
    for path in (*_TEXTS, *_SKELETONS, _MARKER):
        text = (source / path).read_text("utf-8")
        made = skeleton(text, path) if path in _SKELETONS else _EXAMPLE_ONLY.sub("", text)
        target = folder / _renamed(path, name)
        target.parent.mkdir(exist_ok=True)
        target.write_text(_renamed(made, name), "utf-8")
    (folder / "ci").chmod(0o755)
    return folder


def example() -> Path:
    """Return the folder of the example: in the wheel it is inside the package, in a clone beside it."""
    package = Path(__file__).parents[1]
    places = (package / "examples/transport-nats", package.parent / "examples/transport-nats")
    for place in places:
        if place.is_dir():
            return place
    raise LocalError(f"the example is not installed beside {package}: install iec62746 from its wheel, or a clone")


def _refuse(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise LocalError(f"{name!r} is no scheme of URLs: write 1 to 32 of a-z 0-9, the first a letter, as in carrier")
    for plugin in transports():
        if plugin.name.lower() == name:
            raise LocalError(f"{name}:// is {plugin.distribution}'s, which is installed: choose another name")
    if find_spec(f"iec62746_{name}") is not None:
        raise LocalError(f"a package iec62746_{name} is installed already: choose another name")


def _renamed(text: str, name: str) -> str:
    return text.replace("Nats", name.capitalize()).replace("nats", name)


# ---------------------------------------------------------------- skeletons


def skeleton(source: str, path: str) -> str:
    """Return the module `source` with its public signatures and docstrings, and with nothing done in them."""
    module, lines = ast.parse(source), source.splitlines()
    blocks = list(_blocks(module, lines, path))
    imports = _imports(module, _names("\n\n\n".join(blocks)))
    head = _text(lines, module.body[0])
    return "\n\n\n".join(["\n\n".join(part for part in (head, imports) if part), *blocks]) + "\n"


def _blocks(module: ast.Module, lines: list[str], path: str) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.ClassDef) and _is_public(node.name):
            yield _class(node, lines, path)
        elif isinstance(node, _Function) and _is_public(node.name):
            yield _text(lines, node)


def _class(node: ast.ClassDef, lines: list[str], path: str) -> str:
    head = [_text(lines, node, node.body[0].end_lineno)]
    values = [_text(lines, one) for one in node.body if isinstance(one, ast.Assign)]
    methods = [one for one in node.body if isinstance(one, _Function) and _is_kept(one, path)]
    return "\n\n".join([*head, *values, *(_method(one, node.name, lines, path) for one in methods)])


def _is_kept(method: _Function, path: str) -> bool:
    if path.endswith("harness.py"):
        return method.name in ("__init__", "set_up", "tear_down", "access", "endpoint", "versions")
    return _is_public(method.name) or method.name == "__init__"


def _method(method: _Function, of: str, lines: list[str], path: str) -> str:
    """Return signature and docstring, and instead of the body what is to be done."""
    indent = " " * method.body[0].col_offset
    body = "\n".join(indent + line for line in _body(method, of, path))
    return f"{_text(lines, method, method.body[0].end_lineno)}\n{body}"


def _body(method: _Function, of: str, path: str) -> list[str]:
    if path.endswith("harness.py"):
        given = ", ".join(one.arg for one in method.args.args[1:])
        call = f"super().{method.name}({given})"
        if isinstance(method, ast.AsyncFunctionDef):
            return [f"await {call}"]
        return [call if method.name == "__init__" else f"return {call}"]
    if method.name in _BODIES:
        return [_BODIES[method.name]]
    contract = (ast.get_docstring(method) or "").partition("\n")[0]
    return [
        "raise NotImplementedError(",
        f'    "{of}.{method.name} in {path}: "',
        f'    "{contract}"',
        ")",
    ]


def _imports(module: ast.Module, used: set[str]) -> str:
    """Return the imports of what is `used`, in the groups in which they stand."""
    groups, last = [list[str]()], 0
    for node in module.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            if last and node.lineno > last + 1:
                groups.append([])
            last = node.end_lineno or 0
            names = [one for one in node.names if (one.asname or one.name).partition(".")[0] in used]
            if names:
                groups[-1].append(_import(node, names))
    return "\n\n".join("\n".join(group) for group in groups if group)


def _import(node: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> str:
    node.names = names
    line = ast.unparse(node)
    if len(line) <= _LONGEST or isinstance(node, ast.Import):
        return line
    return "\n".join([f"from {node.module} import (", *(f"    {ast.unparse(one)}," for one in names), ")"])


def _names(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    quoted = {one.value for one in nodes if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return {one.id for one in nodes if isinstance(one, ast.Name)} | quoted


def _text(lines: Iterable[str], node: ast.stmt, end: int | None = None) -> str:
    """Return the lines of `node`, with its decorators, up to the line `end`."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(one.lineno for one in decorators)])
    return "\n".join(list(lines)[first - 1 : end or node.end_lineno])


def _is_public(name: str) -> bool:
    return not name.startswith("_")
