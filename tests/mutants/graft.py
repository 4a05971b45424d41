"""Put a mutant into a module that is imported already, in place, so that nothing has to be imported or collected again.

A function keeps its identity and gets other code and defaults, so it does not matter who imported it under which name.
"""

import ast
import functools
import sys
from collections.abc import Callable
from copy import deepcopy
from types import FunctionType, ModuleType
from typing import Any

from tests.mutants.mutations import Mutant, applied, functions_of

__all__ = ["graft", "watch"]

NOTE = "_called"
OURS = ("features", "trainers", "orchestrator", "tests")


def graft(module: ModuleType, tree: ast.Module, mutant: Mutant) -> None:
    """Change a module into a mutant, for the rest of this process.

    Args:
        module: the imported module.
        tree: its syntax tree, in which the mutant was found.
        mutant: the change.

    Raises:
        Exception: the mutant can't be imported: it is no mutant that a test could notice.
    """
    with applied(mutant):
        fresh = _imported(module, tree)
    *classes, name = mutant.scope.split(".")
    old, new = (functools.reduce(getattr, classes, each) for each in (module, fresh))
    if mutant.in_function:
        _take_code(_function(vars(old)[name]), _function(vars(new)[name]))
    elif classes:
        setattr(old, name, vars(new).get(name, getattr(new, name, None)))
        if "__init__" in vars(old) and "__init__" in vars(new):  # of a dataclass, which keeps defaults there
            _take_defaults(vars(old)["__init__"], vars(new)["__init__"])
    else:
        before = vars(module)[name]
        for each in [*sys.modules.values()]:
            if each.__name__.startswith(OURS) and vars(each).get(name) is before:
                setattr(each, name, vars(fresh)[name])


def watch(module: ModuleType, tree: ast.Module, note: Callable[[str], None]) -> None:
    """Call `note` with the name of each function of a module whenever it is called, for the rest of this process."""
    tree = deepcopy(tree)
    names = []
    for name, function in functions_of(tree):
        call = ast.Call(ast.Name(NOTE, ast.Load()), [ast.Constant(name)], [])
        function.body.insert(0, ast.copy_location(ast.Expr(call), function.body[0]))
        names.append(name)
    vars(module)[NOTE] = note
    fresh = _imported(module, tree)
    for each in names:
        *classes, name = each.split(".")
        old, new = (functools.reduce(getattr, classes, top) for top in (module, fresh))
        _take_code(_function(vars(old)[name]), _function(vars(new)[name]))


def _imported(module: ModuleType, tree: ast.Module) -> ModuleType:
    """A module of the same name made from another tree."""
    code = compile(ast.fix_missing_locations(tree), str(module.__file__), "exec")
    fresh = ModuleType(module.__name__)
    fresh.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    exec(code, fresh.__dict__)
    return fresh


def _function(found: Any) -> FunctionType:
    """The function below its decorators."""
    match found:
        case classmethod() | staticmethod():
            return _function(found.__func__)
        case property():
            return _function(found.fget)
        case functools.cached_property():
            return _function(found.func)
    inner = getattr(found, "__wrapped__", None)
    return found if inner is None else _function(inner)


def _take_code(old: FunctionType, new: FunctionType) -> None:
    old.__code__ = new.__code__
    _take_defaults(old, new)


def _take_defaults(old: FunctionType, new: FunctionType) -> None:
    old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
