"""The packages whose docstrings are read: their wheels, licenses and splits."""

import gzip
import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from attn_jax.tasks.cache import cache_folder
from attn_jax.tasks.fetch import FetchError, Wheel, fetch_wheel
from attn_jax.tasks.summaries.docstrings import read_package, without_copies
from attn_jax.tasks.summaries.pair import Pair

__all__ = ["PACKAGES", "SHA256", "Package", "read_pairs"]

APACHE, BSD, MIT = "Apache-2.0", "BSD-3-Clause", "MIT"


class Package(NamedTuple):
    """A package whose docstrings are read.

    Attributes:
        split: `train`, `validation` or `test`.
        wheel: Its wheel.
        folder: The folder of its source in the wheel.
        license: Its license, by its SPDX identifier.
    """

    split: str
    wheel: Wheel
    folder: str
    license: str


def _linux(name: str, version: str, sha256: str, platform: str) -> Wheel:
    """Return the wheel for Python 3.11 on Linux of a package that has one for each platform."""
    return Wheel(name, version, sha256, python_version="3.11", platform=platform)


# The test and validation packages are first, so that of two copies theirs is kept.
PACKAGES = (
    Package(
        "test",
        Wheel(
            "networkx",
            "3.6.1",
            "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762",
        ),
        "networkx",
        BSD,
    ),
    Package(
        "test",
        _linux(
            "fonttools",
            "4.68.0",
            "4b9c89b5876f1a74b1341632dfaf4c4c2be565d76c060445df401ebe7a4ceefa",
            "manylinux2014",
        ),
        "fontTools",
        MIT,
    ),
    Package(
        "test",
        Wheel("flax", "0.12.8", "807931d369cbc716fc447801ab39cd6c3c2614d573387a2319a028675dd34fe5"),
        "flax",
        APACHE,
    ),
    Package(
        "validation",
        Wheel("optax", "0.2.8", "e3ca2d36c99daab1800ae9dbc0545034382d6bc780b24d969e1b0df65fa31cb4"),
        "optax",
        APACHE,
    ),
    Package(
        "validation",
        Wheel("rich", "15.0.0", "33bd4ef74232fb73fe9279a257718407f169c09b78a87ad3d296f548e27de0bb"),
        "rich",
        MIT,
    ),
    Package(
        "validation",
        Wheel(
            "fsspec",
            "2026.9.0",
            "8dd6e646e99ea382bd85f97a45e6b526a442d79423a7dc673f1e2756d05fcb5f",
        ),
        "fsspec",
        BSD,
    ),
    Package(
        "train",
        _linux(
            "scipy",
            "1.17.1",
            "43af8d1f3bea642559019edfe64e9b11192a8978efbd1539d7bc2aaa23d92de4",
            "manylinux_2_28",
        ),
        "scipy",
        BSD,
    ),
    Package(
        "train",
        Wheel("jax", "0.10.2", "724d73c4678d8b06f6a6ab4db1b8a2fea8cd4f1e2c2564f99601634ec7b8d1c6"),
        "jax",
        APACHE,
    ),
    Package(
        "train",
        _linux(
            "matplotlib",
            "3.11.2",
            "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
            "manylinux2014",
        ),
        "matplotlib",
        "PSF-2.0",
    ),
    Package(
        "train",
        _linux(
            "numpy",
            "2.4.6",
            "89cd468399cfd2504718f0ba50e410dca55a170b61a02ad92bb18c8a65186e93",
            "manylinux_2_28",
        ),
        "numpy",
        BSD,
    ),
    Package(
        "train",
        Wheel(
            "huggingface-hub",
            "2.4.0",
            "42ecfd93ede47bdd333daebbf66a32d7bfe2e18752754fe4d2d4f98a0179d801",
        ),
        "huggingface_hub",
        APACHE,
    ),
    Package(
        "train",
        Wheel(
            "orbax-checkpoint",
            "0.12.8",
            "6a42c005db85bf412ae39598a008c894070fd69ca94ee39e2cca02c7ccc28d1f",
        ),
        "orbax",
        APACHE,
    ),
    Package(
        "train",
        Wheel(
            "tensorflow-datasets",
            "4.9.10",
            "7ec065f0a628e28152b487ba9cbe72fa36d3854705d9f3abd04c6cf5d7a91527",
        ),
        "tensorflow_datasets",
        APACHE,
    ),
    Package(
        "train",
        Wheel(
            "treescope",
            "0.1.10",
            "dde52f5314f4c29d22157a6fe4d3bd103f9cae02791c9e672eefa32c9aa1da51",
        ),
        "treescope",
        APACHE,
    ),
    Package(
        "train",
        Wheel(
            "absl-py", "2.5.1", "721200f2f0e9960f2ca9dc3a2a706b201f5f75d812c158f059cbbe29eeafbdb8"
        ),
        "absl",
        APACHE,
    ),
)
"""The packages, with versions that the project itself was locked to."""

SHA256 = "e50b0a6218fa9f4ffa9e99ba07b2a992f26d7edee3c95a76a957b6d2f5fbf92c"
"""The sha256 of the extracted pairs as JSON."""


def read_pairs() -> dict[str, list[Pair]]:
    """Read the docstrings of :data:`PACKAGES` from the cache, or fetch them and keep them there.

    Returns:
        The pairs of `train`, `validation` and `test`, without copies.

    Raises:
        FileNotFoundError: If they are not in the cache and cannot be fetched; with the way out.
        ValueError: If the pairs are not the pinned ones.
    """
    path = cache_folder() / "docstrings.json.gz"
    content = gzip.decompress(path.read_bytes()) if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        content = json.dumps(_fetch()).encode()
        digest = hashlib.sha256(content).hexdigest()
        if digest != SHA256:
            raise ValueError(f"the docstrings have the sha256 {digest}; expected {SHA256}.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(content, mtime=0))
        except OSError:
            pass  # They are fetched again the next time.
    return _by_split(json.loads(content))


def _fetch() -> list[Pair]:
    pairs = []
    for package in PACKAGES:
        try:
            with fetch_wheel(package.wheel) as root:
                pairs += read_package(root / package.folder, package.wheel.name)
        except FetchError as error:
            raise FileNotFoundError(
                f"the docstrings are not in the cache {cache_folder()}, and {error}\nConnect to a "
                "package registry once, or name a file of documents and summaries with --task.path."
            ) from error
    return list(without_copies(pairs))


def _by_split(rows: Sequence[Sequence]) -> dict[str, list[Pair]]:
    splits: dict[str, list[Pair]] = {"train": [], "validation": [], "test": []}
    split = {package.wheel.name: package.split for package in PACKAGES}
    for document, summary, origin in rows:
        splits[split[origin]].append(Pair(tuple(document), tuple(summary), origin))
    return splits
