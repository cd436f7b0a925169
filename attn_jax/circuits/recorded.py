"""Values of a model in a folder, read when they are used."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.circuits.shards import import_safetensors, open_shard, read_piece, replacing

Index = dict[str, Any]
"""What a folder holds: the values with their shapes, and the files of each batch that is whole."""

_INDEX, _VERSION = "index.json", 1


# A Mapping without the types of its items: a type checker at run time would read one to check it.
class Recording(Mapping):
    """The values of a recording by hook point, with the examples of all batches along one axis.

    `recording[name]` reads a value of all batches, and `recording.parts(name)` one batch after the
    other, for values that do not fit into memory. Nothing else reads values.
    """

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self._index = index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index["values"])

    def __len__(self) -> int:
        return len(self._index["values"])

    def __repr__(self) -> str:
        return f"Recording({str(self.folder)!r}, {len(self)} values)"

    def __getitem__(self, name: str) -> np.ndarray:
        start, axis, whole = 0, self.batch_axis(name), None
        for part in self.parts(name):
            whole = np.empty(self.shape(name), part.dtype) if whole is None else whole
            end = start + part.shape[axis]
            whole[(slice(None),) * axis + (slice(start, end),)] = part
            start = end
        assert whole is not None  # no recording is without batches
        return whole

    def batch_axis(self, name: str) -> int:
        """Return the axis of the examples of a value: the first after those of scans."""
        return len(self._index["values"][name]["shape"][0])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value, which is not read for it."""
        before, after = self._index["values"][name]["shape"]
        sizes = [batch["sizes"][name] for batch in self._index["batches"]]
        return (*before, sum(sizes), *after)

    def parts(self, name: str) -> Iterator[np.ndarray]:
        """Yield a value one batch after the other.

        Args:
            name: The hook point.

        Raises:
            ValueError: If a file is missing or damaged.
        """
        for batch in self._index["batches"]:
            value = batch["values"][name]
            pieces = [read_piece(self.folder / file, name, crc) for file, crc in value["pieces"]]
            yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces, value["split"])


def load(folder: Path | str, *, partial: bool = False) -> Recording:
    """Open what :func:`record` wrote.

    Args:
        folder: The folder.
        partial: Whether to open a recording that was interrupted, with the batches that are whole.

    Returns:
        A mapping from hook points to arrays, each of which is read when it is used.

    Raises:
        ImportError: If the package safetensors is missing.
        ValueError: If the folder holds no recording, or not all of one. A file that is missing or
            damaged raises it when a value in it is read.
    """
    folder = Path(folder)
    import_safetensors()
    index = read_index(folder)
    if not index["batches"]:
        raise ValueError(f"{folder} holds no recording; circuits.record makes one.")
    if not (index["is_complete"] or partial):
        raise ValueError(
            f"the recording in {folder} was interrupted after {len(index['batches'])} batches: "
            "call record again with the same arguments to go on, or load(folder, partial=True)."
        )
    return Recording(folder, index)


def read_index(folder: Path) -> Index:
    """Return the index of a folder, without batches if there is none.

    Raises:
        ValueError: If it is damaged.
    """
    path = folder / _INDEX
    if not path.exists():
        return {"version": _VERSION, "is_complete": False, "values": {}, "batches": []}
    try:
        index = json.loads(path.read_text("utf-8"))
        _check(index)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error!r}; record into an empty folder.") from error
    return index


def write_index(folder: Path, index: Index) -> None:
    """Write the index of a folder, in the place of the old one."""
    with replacing(folder / _INDEX) as draft:
        draft.write_text(json.dumps(index), "utf-8")


def is_whole(folder: Path, batch: Mapping[str, Any]) -> bool:
    """Return whether the files of a batch exist and have the length that they state."""
    names = {file for value in batch["values"].values() for file, _ in value["pieces"]}
    try:
        for name in names:
            with open_shard(folder / name):
                pass
    except ValueError:
        return False
    return True


def _check(index: Index) -> None:
    """Refuse an index that does not describe what is read."""
    if index["version"] != _VERSION:
        raise ValueError(f"version {index['version']}, and {_VERSION} is known")
    for batch in index["batches"]:
        for name in index["values"]:
            for file, crc in batch["values"][name]["pieces"]:
                # A file of data never says where to look: only names in its own folder.
                if Path(file).name != file or not isinstance(crc, int):
                    raise ValueError(f"the piece {file!r}, {crc!r}")
