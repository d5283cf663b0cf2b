"""Counts what is written and what is silenced: code lines by package, and suppressions of checks.

    python .ci/code_lines.py [FOLDER]

A code line has a token that is neither a comment nor part of a docstring. A suppression is a comment that
silences a checker (`type: ignore`, `noqa`, `pragma`), or one of our modules that an override of mypy's
settings names or matches.
"""

import ast
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

PACKAGES = ("schemas", "filters", "tokenizer", "pipeline")
OTHERS = ("sluice", "tests", "benchmarks")
SILENCED = re.compile(r"#\s*(?:type:\s*ignore|noqa|pragma|mypy:|ruff:|fmt:\s*(?:off|skip))")
LAYOUT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(path: Path) -> set[int]:
    """Returns the numbers of a file's lines that hold code."""
    lines: set[int] = set()
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in LAYOUT:
                lines.update(range(token.start[0], token.end[0] + 1))
    return lines - set(_docstring_lines(ast.parse(path.read_bytes())))


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    """Yields the lines of statements that are nothing but a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def suppressions(path: Path) -> int:
    """Returns how many comments of a file silence a checker."""
    with tokenize.open(path) as file:
        tokens = tokenize.generate_tokens(file.readline)
        return sum(t.type == tokenize.COMMENT and bool(SILENCED.search(t.string)) for t in tokens)


def overridden(root: Path) -> set[str]:
    """Returns the modules of ours for which an override of mypy's settings is in force."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mypy"]
    patterns = [
        name
        for override in settings.get("overrides", ())
        for name in override["module"]
        if name.startswith("sluice.")
    ]
    modules = {
        "sluice." + ".".join(path.relative_to(root).with_suffix("").parts)
        for path in _sources(root, PACKAGES)
    }
    return {module for module in modules if any(fnmatchcase(module, p) for p in patterns)}


def _sources(root: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in folders:
        yield from (p for p in sorted((root / folder).rglob("*.py")) if not p.is_symlink())


def main(root: Path) -> None:
    """Prints the counts of a checkout."""
    total = silenced = 0
    for folder in (*PACKAGES, *OTHERS):
        files = [path for path in _sources(root, (folder,)) if not _is_linked(path, root)]
        lines, comments = sum(len(code_lines(p)) for p in files), sum(map(suppressions, files))
        total += lines * (folder in PACKAGES)
        silenced += comments
        print(f"{folder:<12}{lines:>8,} code lines{comments:>6} suppressions")
    modules = overridden(root)
    print(f"{'four packages':<12}{total:>7,} code lines")
    together = silenced + len(modules)
    print(f"{silenced} comments and {len(modules)} modules of overrides = {together} suppressions")


def _is_linked(path: Path, root: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if parent != root.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent)
