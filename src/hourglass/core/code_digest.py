"""Digests of the code that a result depends on, so that a change re-runs the affected stages.

The search starts from an entry module. It follows imports, and the functions and classes that are
referenced by name, in this package and in the user's modules. It parses source files and imports
nothing. Comments, docstrings and blank lines do not change a digest.
`stages.snapshot` computes those of all stages.
"""

import ast
import hashlib
import io
import sys
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hourglass.core.paths import SOURCES

PACKAGE = "hourglass"
# Modules that record, lock, print or raise errors, but change no result. A module missing from this
# list costs an unnecessary run; a module listed by mistake would leave stale results in use.
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
    "hourglass.core.progress",
    "hourglass.core.progress_bar",
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
    """Return one SHA-256 over the sources of all modules that the entry modules depend on.

    The entry modules are included even if they are listed in WITHOUT_EFFECT.
    """
    digest = hashlib.sha256()
    for module in sorted(executed_modules(*entries)):
        digest.update(f"{module}\n{_significant_source(module)}\n".encode())
    return digest.hexdigest()


def package_digest() -> str:
    """Return one SHA-256 over all source files of this package."""
    digest, folder = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def executed_modules(*entries: str) -> frozenset[str]:
    """Return the names of the modules whose code affects the result of the entry modules."""
    visited: set[tuple[str, str]] = set()  # (module, name), "" for the whole module
    queue = {(entry, "") for entry in entries}
    while queue:
        module, name = visit = queue.pop()
        if visit in visited or (module not in entries and _has_no_effect(module)):
            continue
        visited.add(visit)
        at_import, definitions = _references(module)
        reached = [at_import]
        if name in definitions:
            reached.append(definitions[name])
        elif not name:
            reached += definitions.values()
        for references in reached:
            queue |= references.imports
            queue |= {(module, other) for other in references.names & definitions.keys()}
    return frozenset(module for module, _ in visited)


def _has_no_effect(module: str) -> bool:
    return module in WITHOUT_EFFECT or module.startswith("hourglass.tracking.")


class _References(ast.NodeVisitor):
    """Collect the imports and names of some nodes of a module, except imports for type checkers."""

    def __init__(self, module: str, nodes: Iterable[ast.AST]) -> None:
        self.module = module
        self.imports: set[tuple[str, str]] = set()  # (module, name), "" for the whole module
        self.names: set[str] = set()
        for node in nodes:
            self.visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.imports |= {(alias.name, "") for alias in node.names if self._follows(alias.name)}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node)
        for alias in node.names:
            if self._follows(f"{module}.{alias.name}"):
                self.imports.add((f"{module}.{alias.name}", ""))
            elif self._follows(module):
                # `import *` may use any name, so it counts as an import of the whole module.
                self.imports.add((module, "" if alias.name == "*" else alias.name))

    def visit_Name(self, node: ast.Name) -> None:
        self.names.add(node.id)

    def _absolute(self, node: ast.ImportFrom) -> str:
        """Return the absolute name of the module in a `from` statement."""
        if not node.level:
            return node.module or ""
        path, parts = source_file(self.module), self.module.split(".")
        is_package = path is not None and path.name == "__init__.py"
        parents = parts[: len(parts) - node.level + is_package]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def _follows(self, imported: str) -> bool:
        """Return whether a module has a source file in this package or in the user's code."""
        root, importer = imported.partition(".")[0], self.module.partition(".")[0]
        folder = _root_folder(importer)
        # A module in the same folder is the user's too, unless it holds installed packages.
        is_sibling = not _holds_installed_packages(folder) and _root_folder(root) == folder
        return (root in (PACKAGE, importer) or is_sibling) and source_file(imported) is not None


@cache
def _references(module: str) -> tuple[_References, dict[str, _References]]:
    """Return the references of a module's statements at import, and of each function and class."""
    body = ast.parse(_read(module)).body
    return (
        _References(module, (node for node in body if not isinstance(node, DEFINITIONS))),
        {node.name: _References(module, [node]) for node in body if isinstance(node, DEFINITIONS)},
    )


def external_sources(*entries: str) -> list[Path]:
    """Return the files and package folders of executed modules outside this package."""
    roots = {module.partition(".")[0] for module in executed_modules(*entries)} - {PACKAGE}
    files = [file for root in sorted(roots) if (file := source_file(root))]
    return [file.parent if file.name == "__init__.py" else file for file in files]


@cache
def source_file(module: str) -> Path | None:
    """Return the source file of a module or package, None if there is none; imports nothing."""
    folder = _root_folder(module.partition(".")[0])
    if folder is None:
        return None
    path = folder.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def _root_folder(root: str) -> Path | None:
    """Return the folder that holds a top-level module or package, None if there is none."""
    if root == PACKAGE:
        return Path(__file__).parents[2]
    if root and ((SOURCES / root).is_dir() or (SOURCES / f"{root}.py").is_file()):
        return SOURCES.absolute()  # it is first on the path once a module of it is trusted
    specs = (finder.find_spec(root, None) for finder in sys.meta_path)
    spec = next((spec for spec in specs if spec is not None), None) if root else None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.has_location and spec.origin else None


@cache
def _holds_installed_packages(folder: Path | None) -> bool:
    return folder is not None and any(folder.glob("*.dist-info"))


def _read(module: str) -> str:
    path = source_file(module)
    if path is None:
        raise ModuleNotFoundError(f"module {module!r} has no source file", name=module)
    return path.read_text(encoding="utf-8")


@cache
def _significant_source(module: str) -> str:
    """Return the source of a module without comments, docstrings and blank lines."""
    text = _read(module)
    lines = text.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    code = [token for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL)]
    ignored = [token for token in tokens if token.type == tokenize.COMMENT]
    for before, token, after in zip([None, *code], code, code[1:], strict=False):
        begins = before is None or before.type in (tokenize.NEWLINE, tokenize.INDENT)
        if begins and token.type == tokenize.STRING and after.type == tokenize.NEWLINE:
            ignored.append(token)  # a statement that is a string: a docstring
    for token in ignored:
        (first, column), (last, _) = token.start, token.end
        lines[first - 1] = lines[first - 1][:column]
        lines[first:last] = [""] * (last - first)
    return "\n".join(line.rstrip() for line in lines if line.strip())
