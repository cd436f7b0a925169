"""Names of hook points, read off the named scopes around them.

JAX keeps a stack of named scopes with every equation. Linen pushes one scope for each call of a
module: its name (`layers_2`), the class of a module without a name (`Transformer`, hence the
root), and for any method but `__call__` both (`decoder.step`, `Transformer.<lambda>`). The name
of a hook point keeps only the path of modules.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from jax.extend import core

# JAX pushes this scope around the part of a forward pass that a backward pass computes again.
_REMATERIALIZED = "rematted_computation"
_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<number>\d+)")


@dataclasses.dataclass(frozen=True)
class Path:
    """The modules around an equation, the outermost first.

    Attributes:
        parts: Their names as displayed, with `*` for each scanned loop.
        module: The innermost module as written on the stack, by which its methods are recognized.
        pending: The number of loops entered whose `*` is still missing. It follows the first
            scope inside the loop, because there Linen's `scan` names the module that it scans.
        root: The outermost scope, as written on the stack; empty before the first one.
    """

    parts: tuple[str, ...] = ()
    module: str = ""
    pending: int = 0
    root: str = ""

    def enter(self, scopes: Iterable[str]) -> Path:
        """Return the path inside these scopes."""
        path = self
        for scope in scopes:
            path = path._enter_one(scope)
        return path

    def loop(self) -> Path:
        """Return the path inside the body of a scan."""
        return dataclasses.replace(self, pending=self.pending + 1)

    def leaf(self, name: str) -> str:
        """Return the full name of a value tapped at this path."""
        return ".".join((*self.parts, *self._stars, name))

    @property
    def _stars(self) -> tuple[str, ...]:
        return ("*",) * self.pending

    def _enter_one(self, scope: str) -> Path:
        module, method = _module_and_method(_clean(scope))
        is_method = bool(method) and module == self.module
        is_dropped = not module or is_method or self._is_class(module, method)
        if is_dropped and module == self.root:  # a backward pass enters the root once more
            return dataclasses.replace(self, module=module)
        part = () if is_dropped else tuple(_dotted(name) for name in module.split("."))
        return Path(self.parts + part + self._stars, module, root=self.root or module)

    def _is_class(self, module: str, method: str) -> bool:
        """Whether a scope names a class, not a module: the root's, or a library's `eqx.nn.MLP`.

        Below the root a name with a capital is one that somebody chose, as T5's `SelfAttention`.
        """
        name = module.rpartition(".")[2]
        is_capital = name[:1].isupper() and not _NUMBERED.fullmatch(name)
        return is_capital and ("." in module or bool(method) or self.root in ("", module))


def scopes_of(eqn: core.JaxprEqn) -> Sequence[str]:
    """Return the named scopes of an equation, relative to the jaxpr that contains it."""
    stack = eqn.source_info.name_stack.stack
    scopes = [entry.name for entry in stack if type(entry).__name__ == "Scope"]
    scopes = [scope for scope in scopes if scope != _REMATERIALIZED]
    # A checkpoint replayed by the backward pass carries the scopes of its forward call twice.
    half = len(scopes) // 2
    is_double = "transpose" in _transforms(eqn) and scopes[:half] == scopes[half:]
    return scopes[:half] if is_double else scopes


def is_differentiated(eqn: core.JaxprEqn) -> bool:
    """Whether an equation comes from a function that was differentiated while it was traced."""
    return "jvp" in _transforms(eqn)


def is_transposed(eqn: core.JaxprEqn) -> bool:
    """Whether an equation belongs to a backward pass."""
    return "transpose" in _transforms(eqn)


def _transforms(eqn: core.JaxprEqn) -> list[str]:
    stack = eqn.source_info.name_stack.stack
    return [entry.name for entry in stack if type(entry).__name__ == "Transform"]


def _clean(scope: str) -> str:
    """Write `block[0]` as `block.0`, and cut the JSON that some libraries put into scopes."""
    scope = re.sub(r"\[(\w+)\]", r".\1", scope)
    return re.sub(r"[*?\[\]#]", "", scope.partition("{")[0]).strip(".: ")


def _module_and_method(scope: str) -> tuple[str, str]:
    """Split Linen's `decoder.step`, but neither `layers.0` nor a path of several modules.

    A slash marks a path of modules, as in `decoder/attention`, which is otherwise like a method.
    """
    if "/" in scope:
        return scope.replace("/", "."), ""
    module, _, method = scope.rpartition(".")
    is_lambda = method.startswith("<")
    is_single = ("." not in module and method[:1].islower()) or method[:1] == "_"
    return (module, method) if module and (is_single or is_lambda) else (scope, "")


def _dotted(module: str) -> str:
    """Write Linen's `layers_2` as `layers.2`."""
    numbered = _NUMBERED.fullmatch(module)
    return f"{numbered['stem']}.{numbered['number']}" if numbered else module
