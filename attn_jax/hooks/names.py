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
    """

    parts: tuple[str, ...] = ()
    module: str = ""
    pending: int = 0

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
        module, _, method = scope.partition(".")
        is_method = bool(method) and module == self.module
        part = () if is_method or _is_class(scope) else (_dotted(module),)
        return Path(self.parts + part + self._stars, module)


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


def _transforms(eqn: core.JaxprEqn) -> list[str]:
    stack = eqn.source_info.name_stack.stack
    return [entry.name for entry in stack if type(entry).__name__ == "Transform"]


def _is_class(scope: str) -> bool:
    """Whether a scope names a class, not a module: `Transformer.encode`, `eqx.nn.MLP`."""
    module = scope.partition(".")[0]
    qualified = scope.rpartition(".")[2]
    return any(name[:1].isupper() and not _NUMBERED.fullmatch(name) for name in (module, qualified))


def _dotted(module: str) -> str:
    """Write Linen's `layers_2` as `layers.2`."""
    numbered = _NUMBERED.fullmatch(module)
    return f"{numbered['stem']}.{numbered['number']}" if numbered else module
