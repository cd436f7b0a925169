"""The paths of a model's modules, and the named scopes that their calls run in."""

import contextlib
import contextvars
import functools
import itertools
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

Path = tuple[str, ...]


@runtime_checkable
class Library(Protocol):
    """What there is to know of a library."""

    def modules(self, root: Any) -> Iterator[tuple[Path, Any]]:
        """Yield the modules in a module or container by their paths."""
        ...

    def arrays(self, module: Any) -> list[Any]:
        """Return the arrays of a module, by which a copy of it can be recognized."""
        ...

    def scope(self, path: Path) -> contextlib.AbstractContextManager:
        """Return the named scope of a path."""
        ...


_active: contextvars.ContextVar[tuple["ModuleScopes", ...]] = contextvars.ContextVar(
    "active", default=()
)


@contextlib.contextmanager
def active(scopes: "ModuleScopes") -> Iterator[None]:
    """Let calls of modules in this thread run in these scopes."""
    token = _active.set((scopes, *_active.get()))
    try:
        yield
    finally:
        _active.reset(token)


@contextlib.contextmanager
def module_scope(module: Any) -> Iterator[None]:
    """Run in the named scope of a module, if an active model knows it."""
    scopes = _owner(module)
    with scopes.enter(module) if scopes else contextlib.nullcontext():
        yield


def is_known(module: Any) -> bool:
    """Whether an active model knows a module, or can match it."""
    return _owner(module) is not None


def _owner(module: Any) -> "ModuleScopes | None":
    everyone = _active.get()
    # A model that holds the module itself comes before one that holds a module like it.
    for scopes in everyone:
        if scopes.holds(module):
            return scopes
    return next((scopes for scopes in everyone if scopes.recognize(module)), None)


class ModuleScopes:
    """The paths of a model's modules during one call of a function.

    Modules are looked up by identity. One that was rebuilt from a module of the model, by a
    transformation or by `nnx.merge`, is matched with it once, and its submodules with it.
    """

    def __init__(self, library: Library, model: Any):
        self.library = library
        self.model = model
        self._paths: dict[int, Path] = {}
        self._unmatched: dict[int, int] = {}
        # Also keeps the objects alive: as long as one is, no other has its identity.
        self._known: list[tuple[Path | None, Any]] = []
        self._stack: list[Path] = [()]
        # Walking a module uses it, which must not recognize the modules inside one by one.
        self._is_matching = False
        self._register(model, ())

    def recognize_all(self, arguments: Any) -> None:
        """Learn the modules among the arguments of a function."""
        for _, module in self.library.modules(arguments):
            self.recognize(module)

    def holds(self, module: Any) -> bool:
        """Whether the path of a module is known."""
        return id(module) in self._paths

    def recognize(self, module: Any) -> bool:
        """Learn the path of a module and of those inside it; return whether there is one."""
        if self._is_matching or self.holds(module) or not self._is_new(module):
            return self.holds(module)
        self._is_matching = True
        try:
            path = self._match(module)
            if path is not None:
                self._register(module, path)
        finally:
            self._is_matching = False
        return self.holds(module)

    @contextlib.contextmanager
    def enter(self, module: Any) -> Iterator[None]:
        """Run in the named scope of a module, relative to the modules around it."""
        path, around = self._paths[id(module)], self._stack[-1]
        is_around = around[: len(path)] == path
        is_inside = path[: len(around)] == around
        inner = () if is_around else path[len(around) :] if is_inside else path
        self._stack.append(path)
        try:
            with self.library.scope(inner) if inner else contextlib.nullcontext():
                yield
        finally:
            self._stack.pop()

    def _register(self, root: Any, path: Path) -> None:
        # Backwards, so that a shared module has the first of its paths.
        for relative, module in reversed(list(self.library.modules(root))):
            self._paths[id(module)] = path + relative
            self._known.append((path + relative, module))

    def _is_new(self, module: Any) -> bool:
        """Whether a match is worth a try: not again before the module has new attributes."""
        size = len(object.__getattribute__(module, "__dict__"))
        if self._unmatched.get(id(module)) == size:
            return False
        self._unmatched[id(module)] = size
        self._known.append((None, module))
        return True

    def _match(self, module: Any) -> Path | None:
        """Return the path of the module that this one was rebuilt from, or what is known of it."""
        candidates = self._places.get(self._skeleton(module), [])
        around = self._stack[-1]
        if around in candidates:
            return around
        inside = [path for path in candidates if path[: len(around)] == around]
        candidates = inside or candidates
        if len(candidates) > 1:
            candidates = self._of_same_arrays(module, candidates) or candidates
        return _common_start(candidates) if candidates else None

    def _of_same_arrays(self, module: Any, candidates: list[Path]) -> list[Path]:
        """Return the first candidate that holds the very arrays of this module, if there is one."""
        arrays = self._arrays(module)
        same = (
            path
            for path, other in self._known
            if path in candidates and self._arrays(other) == arrays
        )
        return list(itertools.islice(same, 1)) if arrays else []

    @functools.cached_property
    def _places(self) -> dict[frozenset, list[Path]]:
        """The paths of the model's modules by their skeletons."""
        places: dict[frozenset, list[Path]] = {}
        modules = list(self.library.modules(self.model))
        inside: dict[Path, set] = {path: set() for path, _ in modules}
        for path, module in modules:
            for depth in range(len(path) + 1):
                if path[:depth] in inside:
                    inside[path[:depth]].add((path[depth:], type(module)))
        for path, skeleton in inside.items():
            places.setdefault(frozenset(skeleton), []).append(path)
        return places

    def _skeleton(self, module: Any) -> frozenset:
        """Return the classes of a module and its submodules, by their paths inside it."""
        return frozenset((path, type(part)) for path, part in self.library.modules(module))

    def _arrays(self, module: Any) -> tuple[int, ...]:
        return tuple(id(leaf) for leaf in self.library.arrays(module))


def _common_start(paths: list[Path]) -> Path:
    steps = zip(*paths, strict=False)
    return tuple(step[0] for step in itertools.takewhile(lambda step: len(set(step)) == 1, steps))
