"""Prints the mutants of modules, one by a line of JSON, in an order by a seed; runs where cosmic-ray is installed.

A mutant is a module with one change by an operator: cosmic-ray's own, and three that it lacks. A change that alters
annotations alone, or that no longer compiles, is no mutant.
"""

import ast
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Keyword, String


class _Operator:
    """An operator as cosmic-ray calls it: the places in a node where it applies, and what it makes of the node."""

    def applies(self, _node: Any) -> bool:
        return False

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if self.applies(node):
            yield node.start_pos, node.end_pos


class RemoveStatement(_Operator):
    """Leaves out a call whose result is not used, or an assignment to an attribute, an item or a sum."""

    def applies(self, node: Any) -> bool:
        if node.type != "simple_stmt":
            return False
        first = node.children[0]
        if first.type == "expr_stmt":
            target, sign = first.children[:2]
            return bool(target.type == "atom_expr" or (sign.type == "operator" and sign.value != "="))
        return bool(first.type == "atom_expr" and first.children[-1].children[0] == "(")

    def mutate(self, node: Any, _index: int) -> Any:
        first = node.children[0]
        node.children[0] = Keyword("pass", first.start_pos, prefix=first.get_first_leaf().prefix)
        return node


class ReplaceText(_Operator):
    """Makes another text of one that is not a docstring."""

    def applies(self, node: Any) -> bool:
        return isinstance(node, String) and node.parent is not None and node.parent.type != "simple_stmt"

    def mutate(self, node: Any, _index: int) -> Any:
        prefix = "b" if node.value[0] in "bB" else ""
        return String(f'{prefix}"mutant"', node.start_pos, prefix=node.prefix)


class DropArgument(_Operator):
    """Makes None of a named argument."""

    def applies(self, node: Any) -> bool:
        return bool(node.type == "argument" and len(node.children) == 3 and node.children[1] == "=")

    def mutate(self, node: Any, _index: int) -> Any:
        value = node.children[2]
        node.children[2] = Keyword("None", value.start_pos, prefix=value.get_first_leaf().prefix)
        return node


OWN = {"own/RemoveStatement": RemoveStatement, "own/ReplaceText": ReplaceText, "own/DropArgument": DropArgument}


SILLY = re.compile(
    r"ReplaceComparisonOperator_(?!Is)\w+_Is(Not)?$|ReplaceComparisonOperator_Is(Not)?_(?!Is)\w+$|"
    r"ReplaceBinaryOperator_(?!Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|BitOr_BitAnd)"
)
"""Changes that no test can miss, or no person would make: they would only make the count look better. Nor `is` as `==`
or `<`: what is compared so, members of enumerations and None, is equal to itself alone and has no order."""


def _operators() -> dict[str, Any]:
    known = {name: get_operator(name) for name in operator_names() if not SILLY.search(name)}
    # Those with arguments replace a name by another one that we would have to give.
    return {name: kind() for name, kind in known.items() if not kind.arguments()} | {
        name: kind() for name, kind in OWN.items()
    }


OPERATORS = _operators()


class _Bare(ast.NodeTransformer):
    """Leaves out what no run depends on: annotations, type variables, and `strict` of zip.

    `strict` asserts what the lines before have just made so.
    """

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        self.generic_visit(node)
        made = node.value.func if isinstance(node.value, ast.Call) else None
        return None if isinstance(made, ast.Name) and made.id == "TypeVar" else node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "strict"]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        self.generic_visit(node)
        node.annotation = ast.Constant(value=None)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        return node


def meaning(source: str) -> str | None:
    """A module without annotations and layout; None where it does not compile."""
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return None
    return ast.dump(_Bare().visit(ast.parse(source)))


def places(source: str) -> list[tuple[str, int]]:
    """Every operator that applies to a module's source, as often as it does: its name and which of its places."""
    nodes = list(ast_nodes(get_ast(source)))
    return [
        (name, at)
        for name, operator in OPERATORS.items()
        for at in range(sum(1 for node in nodes for _ in operator.mutation_positions(node)))
    ]


def mutants(sources: dict[str, str], seed: int) -> Iterator[dict[str, str]]:
    """The mutants of modules, by their paths, in an order that the seed decides."""
    seen = {(path, meaning(source)) for path, source in sources.items()}
    wanted = [(path, *place) for path, source in sources.items() for place in places(source)]
    random.Random(seed).shuffle(wanted)  # noqa: S311 - a sample, not a secret
    for path, name, at in wanted:
        mutated = mutate_code(sources[path], OPERATORS[name], at)
        means = meaning(mutated) if mutated else None
        if means and (path, means) not in seen:
            seen.add((path, means))
            yield {"path": path, "operator": name, "source": mutated}


if __name__ == "__main__":
    number, *paths = sys.argv[1:]
    for mutant in mutants({path: Path(path).read_text() for path in paths}, int(number)):
        print(json.dumps(mutant), flush=True)
