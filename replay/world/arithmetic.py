"""Two tools without a state that many agents are given beside their real ones: a calculator and a place to think."""

from __future__ import annotations

import ast
import operator

from replay.world.simulator import ToolError
from replay.world.tables import tool

_ERROR = "Error: invalid expression"
_BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class Scratchpad:
    """To be inherited from beside TableSimulator."""

    @tool
    def calculate(self, expression: str) -> str:
        return evaluated(expression)

    @tool
    def think(self, thought: str) -> str:
        return ""


def evaluated(expression: object) -> str:
    """Numbers, + - * / and brackets; two decimals."""
    if not isinstance(expression, str) or len(expression) > 2000:
        raise ToolError(_ERROR)
    try:
        return str(round(_value(ast.parse(expression.strip(), mode="eval").body), 2))
    except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError, ValueError):
        raise ToolError(_ERROR) from None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.BinOp) and (work := _BINARY.get(type(node.op))):
        return float(work(_value(node.left), _value(node.right)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    raise ValueError(_ERROR)
