"""Write docs/conformance.md: which test proves which line of docs/requirements.toml.

`--check` writes nothing and exits 1 where the file on disk differs.
The tests are read, not imported: a mark counts on a function, on a class, and as `pytestmark`.
"""

import argparse
import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = "docs/conformance.md"
HEAD = """\
# Conformance to IEC TS 62746-3

Written by `scripts/generate` from `docs/requirements.toml` and the tests' `requirement` marks: do not edit.
The sentences are ours; the clause says where the specification has its own.

{lines} lines: {proven} proven by tests, {reasoned} with a reason why not, or not wholly, {open} open.

| id | requirement | clause | level | proven by |
|---|---|---|---|---|
"""

Requirements = Mapping[str, Mapping[str, str]]
Proofs = Mapping[str, list[str]]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help=f"fail where {PAGE} would change")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder")
    options = parser.parse_args(arguments)
    requirements = tomllib.loads((options.root / "docs/requirements.toml").read_text("utf-8"))
    proofs = find_proofs(options.root)
    if unknown := [f"{test}: {name}" for name in proofs.keys() - requirements.keys() for test in proofs[name]]:
        print("not in docs/requirements.toml:", *sorted(unknown), sep="\n  ", file=sys.stderr)
        return 1
    return put(options.root / PAGE, page(requirements, proofs), is_check=options.check)


def put(path: Path, text: str, *, is_check: bool) -> int:
    if path.exists() and path.read_text("utf-8") == text:
        return 0
    if is_check:
        print(f"{PAGE} is stale: run scripts/generate", file=sys.stderr)
        return 1
    path.write_text(text, "utf-8")
    print(f"wrote {PAGE}")
    return 0


def find_proofs(root: Path) -> Proofs:
    proofs: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_bytes(), path)
        for name, test in proofs_in(tree.body, path.relative_to(root).as_posix(), set()):
            proofs[name].append(test)
    return proofs


def proofs_in(body: list[ast.stmt], place: str, outer: set[str]) -> Iterator[tuple[str, str]]:
    """Yield each pair of requirement and test below `place`, where the marks `outer` hold for every test."""
    outer = outer | marks(pytestmarks(body))
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from proofs_in(node.body, f"{place}::{node.name}", outer | marks(node.decorator_list))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            for name in sorted(outer | marks(node.decorator_list)):
                yield name, f"{place}::{node.name}"


def pytestmarks(body: list[ast.stmt]) -> list[ast.expr]:
    assigned = [node for node in body if isinstance(node, ast.Assign)]
    return [node.value for node in assigned if ast.unparse(node.targets[0]) == "pytestmark"]


def marks(expressions: Iterable[ast.expr]) -> set[str]:
    """Return what the `requirement(...)` calls within `expressions` name."""
    calls = (node for expression in expressions for node in ast.walk(expression) if isinstance(node, ast.Call))
    named = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "requirement"]
    return {ast.literal_eval(argument) for call in named for argument in call.args}


def page(requirements: Requirements, proofs: Proofs) -> str:
    reasoned = sum("reason" in line for line in requirements.values())
    proven = sum("reason" not in line and name in proofs for name, line in requirements.items())
    counts = {"lines": len(requirements), "proven": proven, "reasoned": reasoned}
    head = HEAD.format(**counts, open=len(requirements) - proven - reasoned)
    return head + "".join(row(name, line, proofs.get(name, [])) for name, line in requirements.items())


def row(name: str, line: Mapping[str, str], tests: list[str]) -> str:
    links = [f"[`{test.removeprefix('tests/')}`](../{test.partition('::')[0]})" for test in tests]
    proof = "<br>".join([*links, *([line["reason"]] if "reason" in line else [])]) or "open"
    return f"| {name} | {line['text']} | {line['clause']} | {line['level']} | {proof} |\n"


if __name__ == "__main__":
    sys.exit(main())
