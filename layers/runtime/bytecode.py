"""Compiles a folder's modules without their docstrings, which nothing reads in Lambda.

`python3 -X no_debug_ranges bytecode.py FOLDER...`, by the Python that will load them. A start reads as many bytes less
and keeps them out of memory; a traceback names file, function and line as ever, without marks under the columns. Lambda
never looks whether a source is newer (PEP 552, unchecked).
"""

import ast
import importlib.util
import marshal
import sys
from pathlib import Path

UNCHECKED = (0b01).to_bytes(4, "little")
"""PEP 552: by the source's hash, which is not compared."""

PLACEHOLDER = "."
"""A class's docstring: `dataclasses` looks up a signature for each class that has none. A blank would not do: since
Python 3.13 the compiler strips it."""


def compile_folder(folder: Path) -> None:
    """Writes the bytecode of each module under a folder to where this Python looks for it."""
    for source in folder.rglob("*.py"):
        text = source.read_bytes()
        code = compile(without_docstrings(ast.parse(text)), str(source), "exec", dont_inherit=True)
        target = Path(importlib.util.cache_from_source(str(source), optimization=""))
        target.parent.mkdir(exist_ok=True)
        head = importlib.util.MAGIC_NUMBER + UNCHECKED + importlib.util.source_hash(text)
        target.write_bytes(head + marshal.dumps(code))


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The same module without docstrings; assertions stay."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            if _has_docstring(node):
                node.body = node.body[1:] or [ast.copy_location(ast.Pass(), node.body[0])]
        elif isinstance(node, ast.ClassDef) and _has_docstring(node):
            dot = ast.copy_location(ast.Expr(ast.Constant(PLACEHOLDER)), node.body[0])
            node.body[0] = ast.fix_missing_locations(dot)
    return tree


def _has_docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


if __name__ == "__main__":
    for name in sys.argv[1:]:
        compile_folder(Path(name))
