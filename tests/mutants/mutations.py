"""Small changes of a module's source, each of which some test should notice.

A mutant changes one expression or statement: a comparison, an operator, a number, a word, a condition, a default, an
argument by name, a returned value; or it leaves a statement out. Texts for people stay as they are (messages, logs,
docstrings), and so do annotations, decorators, assertions, imports, and constants that say how long or how large.
"""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Mutant", "applied", "functions_of", "mutants_of"]

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.MatMult: ast.Mult,
}  # fmt: skip
CALLED = {"max": "min", "min": "max", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
UNTOUCHED = (
    ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Global, ast.Nonlocal, ast.pattern, ast.Delete,
)  # fmt: skip
HABITS = {"encoding", "daemon", "strict"}
"""Arguments that guard against mistakes of ours, like assertions."""
DURATIONS = ("_S", "_s", "_BYTES")
"""How constants end whose value is a choice and no behaviour."""


@dataclass(frozen=True)
class Mutant:
    """One change."""

    scope: str
    """The function or method, `Class.method`; for a constant, the constant."""
    line: int
    change: str
    """`before -> after`."""
    in_function: bool
    holder: Any = field(repr=False, compare=False)
    """The node, or list of nodes, that has the changed one."""
    key: Any = field(repr=False, compare=False)
    new: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.scope}: {self.change}"


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """All mutants of a module, in the order of its lines; `str` of each is different."""
    seen: dict[str, int] = {}
    return [_numbered(mutant, seen) for mutant in _of_module(tree)]


def functions_of(tree: ast.Module | ast.ClassDef, outer: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions of a module and methods of its classes, with their names: `Class.method`."""
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            yield from functions_of(statement, f"{outer}{statement.name}.")
        elif isinstance(statement, ast.FunctionDef):
            yield outer + statement.name, statement


def _numbered(mutant: Mutant, seen: dict[str, int]) -> Mutant:
    """Numbers the equal changes in one function, so that each has its own name."""
    number = seen[str(mutant)] = seen.get(str(mutant), 0) + 1
    return mutant if number == 1 else replace(mutant, change=f"{mutant.change} ({number})")


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Change the tree that a mutant was found in while the block runs."""
    before = _get(mutant.holder, mutant.key)
    _set(mutant.holder, mutant.key, mutant.new)
    try:
        yield
    finally:
        _set(mutant.holder, mutant.key, before)


def _of_module(tree: ast.Module) -> Iterator[Mutant]:
    for statement in tree.body:
        yield from _of_top(statement, "")


def _of_top(statement: ast.stmt, outer: str) -> Iterator[Mutant]:
    """Of a statement of a module or a class: functions, and constants with a name."""
    match statement:
        case ast.ClassDef(name=name, body=body):
            for inner in body:
                yield from _of_top(inner, f"{outer}{name}.")
        case ast.FunctionDef(name=name):
            walk = _Walk(outer + name, in_function=True)
            yield from walk.children(statement.args)
            yield from walk.block(statement)
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            if statement.value is not None and not name.startswith("__") and not name.endswith(DURATIONS):
                yield from _Walk(outer + name, in_function=False).within(statement, "value")


class _Walk:
    def __init__(self, scope: str, *, in_function: bool) -> None:
        self.scope, self.in_function = scope, in_function

    def block(self, function: ast.FunctionDef) -> Iterator[Mutant]:
        for index in range(len(function.body)):
            yield from self.within(function.body, index)

    def within(self, holder: Any, key: Any) -> Iterator[Mutant]:
        """Of a node in its place, and of what is in it."""
        node = _get(holder, key)
        if not isinstance(node, ast.AST) or isinstance(node, UNTOUCHED) or _is_for_people(node):
            return
        for new in _alternatives(node, self.scope):
            before, after = (" ".join(ast.unparse(each).split()) for each in (node, new))
            line = getattr(node, "lineno", 0)
            yield Mutant(self.scope, line, f"{_cut(before)} -> {_cut(after)}", self.in_function, holder, key, new)
        if not isinstance(node, ast.Raise):
            yield from self.children(node)

    def children(self, node: ast.AST) -> Iterator[Mutant]:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "type", "ctx"):
                continue
            if isinstance(value, list):
                for index in range(len(value)):
                    yield from self.within(value, index)
            else:
                yield from self.within(node, name)


def _is_for_people(node: ast.AST) -> bool:
    """Whether a node is a docstring, a line of the log, or for type checkers alone."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Subscript(value=ast.Name(id="Literal")):
            return True
        case ast.keyword(arg=name):
            return name in HABITS
    return False


def _alternatives(node: ast.AST, scope: str) -> Iterator[ast.AST]:  # noqa: PLR0912 - a table
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARED:
            yield _with(node, ops=[COMPARED[type(op)]()])
        case ast.BoolOp(op=op):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in CALCULATED:
            yield _with(node, op=CALCULATED[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield deepcopy(operand)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)) if value and not any(map(str.isspace, value)):
            yield ast.Constant(f"{value}X")
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield _with(node, value=None)
        case ast.Raise() | ast.Continue() | ast.Break():
            yield ast.Pass()
        case ast.Call(func=func, args=args, keywords=keywords):
            name = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
            if name in CALLED:
                other = _with(func, **{"id" if isinstance(func, ast.Name) else "attr": CALLED[name]})
                yield _with(node, func=other)
            if name == "sorted" and len(args) == 1 and not keywords:
                yield _with(node, func=ast.Name("list", ast.Load()))
            for keyword in keywords:
                if keyword.arg is not None and keyword.arg not in HABITS:
                    yield _with(node, keywords=[each for each in keywords if each is not keyword])
    match node:
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) if not scope.endswith("__init__"):
            yield ast.Pass()
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not _is_changed_itself(test):
            yield _with(node, test=ast.UnaryOp(ast.Not(), deepcopy(test)))
        case ast.comprehension(ifs=[test]) if not _is_changed_itself(test):
            yield _with(node, ifs=[ast.UnaryOp(ast.Not(), deepcopy(test))])


def _is_changed_itself(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant)


def _with(node: Any, **changes: Any) -> Any:
    """A copy of a node with other parts, which stay shared but for the changed ones."""
    new = type(node)(**{**dict(ast.iter_fields(node)), **changes})
    return ast.copy_location(new, node) if hasattr(node, "lineno") else new


def _get(holder: Any, key: Any) -> Any:
    return holder[key] if isinstance(holder, list) else getattr(holder, key)


def _set(holder: Any, key: Any, node: Any) -> None:
    if isinstance(holder, list):
        holder[key] = node
    else:
        setattr(holder, key, node)


def _cut(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
