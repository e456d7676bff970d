"""Metric math, as far as the template's alarms use it: arithmetic, comparisons, IF, FILL, MAX, MIN and PERIOD.

Source: CloudWatch user guide, "Using math expressions with CloudWatch metrics".
"""

import ast
import operator
from collections.abc import Callable, Mapping

Number = float | None
"""A value of one period; None where there is none. Math with None has no value."""

_BINARY: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def value(expression: str, metrics: Mapping[str, Number], period: float) -> Number:
    """What the expression is worth in one period, whose metrics are these.

    Raises:
        ValueError: the expression uses what this emulator does not know.
    """
    return _value(ast.parse(expression, mode="eval").body, metrics, period)


def _value(node: ast.expr, metrics: Mapping[str, Number], period: float) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return metrics[name]
        case (
            ast.BinOp(left=left, op=operation, right=right)
            | ast.Compare(left=left, ops=[operation], comparators=[right])
        ):
            return _combined(operation, _value(left, metrics, period), _value(right, metrics, period))
        case ast.Call(func=ast.Name(id="PERIOD")):
            return period
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, other]):
            found = _value(filled, metrics, period)
            return _value(other, metrics, period) if found is None else found
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            met = _value(condition, metrics, period)
            return None if met is None else _value(then if met else otherwise, metrics, period)
        case ast.Call(func=ast.Name(id="MAX" | "MIN" as which), args=[ast.List(elts=several)]):
            known = [one for each in several if (one := _value(each, metrics, period)) is not None]
            return (max if which == "MAX" else min)(known, default=None)
    raise ValueError(f"The emulator does not know {ast.unparse(node)}.")


def _combined(operation: ast.AST, left: Number, right: Number) -> Number:
    if left is None or right is None or (isinstance(operation, ast.Div) and right == 0):
        return None
    return float(_BINARY[type(operation)](left, right))
