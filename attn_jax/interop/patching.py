"""Attributes of classes, replaced for a while, by several threads at once."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Patches = Mapping[tuple[type, str], Callable[[Any], Any]]
"""A function from the original attribute to its replacement, for each class and name."""

_lock = threading.Lock()
_users: dict[tuple[type, str], int] = {}
_originals: dict[tuple[type, str], Any] = {}
_inherited = object()


@contextlib.contextmanager
def patched(patches: Patches) -> Iterator[None]:
    """Replace attributes of classes, and restore them when the last thread has left.

    The first thread to come installs the replacements, which therefore must act by what is set
    for the thread that calls them.
    """
    installed = []
    try:
        with _lock:
            for place, replacement in patches.items():
                _install(place, replacement)
                installed.append(place)
        yield
    finally:
        with _lock:
            for place in reversed(installed):
                _restore(place)


def _install(place: tuple[type, str], replacement: Callable[[Any], Any]) -> None:
    owner, name = place
    if not _users.get(place):
        original = vars(owner).get(name, _inherited)
        type.__setattr__(
            owner, name, replacement(getattr(owner, name) if original is _inherited else original)
        )
        _originals[place] = original
    _users[place] = _users.get(place, 0) + 1


def _restore(place: tuple[type, str]) -> None:
    owner, name = place
    _users[place] -= 1
    if _users[place]:
        return
    del _users[place]
    original = _originals.pop(place)
    if original is _inherited:
        type.__delattr__(owner, name)
    else:
        type.__setattr__(owner, name, original)
