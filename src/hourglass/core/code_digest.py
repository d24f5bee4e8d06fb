"""Digests of the code that decides a result, so that a change re-runs what it affects.

Starting from an entry module, the search follows imports and the functions and classes reached by
name. Comments, docstrings and blank lines do not count.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

PACKAGE = "hourglass"
# Modules that record, lock, print or refuse, but change no result. A module missing from this list
# costs an unnecessary run; a module listed by mistake would leave a stale result.
WITHOUT_EFFECT = (
    "hourglass",
    "hourglass.__main__",
    "hourglass.core",
    "hourglass.core.atomic",
    "hourglass.core.code_digest",
    "hourglass.core.dvc_lock",
    "hourglass.core.errors",
    "hourglass.core.locks",
    "hourglass.core.paths",
    "hourglass.core.trusted_imports",
    "hourglass.data",
    "hourglass.data.prepare",  # the data module calls it for data that are not prepared yet
    "hourglass.models",
    "hourglass.stages",
    "hourglass.stages.output",
    "hourglass.tracking",
)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def code_digest(*entries: str) -> str:
    """Return the SHA-256 of the source of every module that the entry modules execute.

    The entries themselves always count, even if they are listed in WITHOUT_EFFECT.
    """
    digest = hashlib.sha256()
    for module in sorted(executed_modules(*entries)):
        digest.update(f"{module}\n{_significant_source(module)}\n".encode())
    return digest.hexdigest()


@cache
def executed_modules(*entries: str) -> frozenset[str]:
    """Return the names of the modules whose code decides the result of the entry modules."""
    seen: set[tuple[str, str]] = set()
    waiting = {(entry, "") for entry in entries}
    while waiting:
        module, name = visit = waiting.pop()
        if visit in seen or (module not in entries and _has_no_effect(module)):
            continue
        seen.add(visit)
        at_import, inside = _references(module)
        used = [at_import]
        if name in inside:
            used.append(inside[name])
        elif not name:
            used += inside.values()
        for each in used:
            waiting |= each.imports
            waiting |= {(module, other) for other in each.names & inside.keys()}
    return frozenset(module for module, _ in seen)


def _has_no_effect(module: str) -> bool:
    return module in WITHOUT_EFFECT or module.startswith("hourglass.tracking.")


class _References(ast.NodeVisitor):
    """Collect the imports and names of some nodes, imports for type checkers left out."""

    def __init__(self, root: str, nodes: Iterable[ast.AST]) -> None:
        self.roots = (root, PACKAGE)
        self.imports: set[tuple[str, str]] = set()  # module, name in it ("" for all of it)
        self.names: set[str] = set()
        for node in nodes:
            self.visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.orelse:
                self.visit(each)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            if self._source(each.name):
                self.imports.add((each.name, ""))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for each in node.names:
            if self._source(f"{module}.{each.name}"):
                self.imports.add((f"{module}.{each.name}", ""))
            elif self._source(module):
                self.imports.add((module, each.name))

    def visit_Name(self, node: ast.Name) -> None:
        self.names.add(node.id)

    def _source(self, module: str) -> Path | None:
        return source_file(module) if module.partition(".")[0] in self.roots else None


@cache
def _references(module: str) -> tuple[_References, dict[str, _References]]:
    """Return the references of a module at import, and those of each function and class in it."""
    body, root = ast.parse(_read(module)).body, module.partition(".")[0]
    return (
        _References(root, (node for node in body if not isinstance(node, DEFINITIONS))),
        {node.name: _References(root, [node]) for node in body if isinstance(node, DEFINITIONS)},
    )


@cache
def source_file(module: str) -> Path | None:
    """Return the source file of a module or package, None if there is none; imports nothing."""
    folder = _root_folder(module.partition(".")[0])
    if folder is None:
        return None
    path = folder.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((each for each in candidates if each.is_file()), None)


@cache
def _root_folder(root: str) -> Path | None:
    """Return the folder that holds a top-level module or package."""
    if root == PACKAGE:
        return Path(__file__).parents[2]
    spec = PathFinder.find_spec(root)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    return path.parents[1] if path.name == "__init__.py" else path.parent


def _read(module: str) -> str:
    path = source_file(module)
    if path is None:
        raise ModuleNotFoundError(f"module {module!r} has no source file", name=module)
    return path.read_text(encoding="utf-8")


@cache
def _significant_source(module: str) -> str:
    """Return the source of a module without comments, docstrings and blank lines."""
    text = _read(module)
    lines = text.splitlines()
    for start, end in _docstring_lines(ast.parse(text)):
        lines[start:end] = [""] * (end - start)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _docstring_lines(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield the line range, zero-based and half-open, of every docstring."""
    for node in ast.walk(tree):
        if not isinstance(node, (*DEFINITIONS, ast.Module)) or not node.body:
            continue
        first = node.body[0]
        value = first.value if isinstance(first, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield first.lineno - 1, first.end_lineno or first.lineno
