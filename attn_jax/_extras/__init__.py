"""The error for a package that is missing: it names the extra that brings it.

Importing a module of this folder requires what whole packages of the library need; functions that
need a package call :func:`require`.
"""

from importlib.util import find_spec

__all__ = ["MissingPackageError", "require"]


class MissingPackageError(ModuleNotFoundError):
    """A package is missing that an extra of this library brings."""


def require(*packages: str, extra: str) -> None:
    """Raise if a package that an extra brings is missing; import nothing.

    Args:
        packages: Top-level names as they are imported.
        extra: The extra of this library that brings them.

    Raises:
        MissingPackageError: With the line that installs what is missing.

    Example:
        >>> require("zzz", extra="flax")
        Traceback (most recent call last):
            ...
        attn_jax._extras.MissingPackageError: ... is missing: pip install 'attn-jax[flax]'
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackageError(
                f"the package {package!r} is missing: pip install 'attn-jax[{extra}]'",
                name=package,
            )
