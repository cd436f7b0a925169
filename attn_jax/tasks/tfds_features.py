"""The check of a prepared TFDS set that keeps a file of data from running code.

`features.json` names the class of each feature, and TFDS imports the module that the name says.
Only the classes of TFDS itself are let through, before TFDS opens the folder.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["check_feature_classes"]

_TFDS_CLASS = re.compile(r"tensorflow_datasets\.core\.features(\.[A-Za-z]\w*)+")
# The key as JSON has it, as its protocol buffer spells it, and as older versions of TFDS wrote it.
_CLASS_KEYS = ("pythonClassName", "python_class_name", "type")


def check_feature_classes(folder: Path) -> None:
    """Refuse a prepared set whose features are of other classes than those of TFDS.

    Args:
        folder: The folder of the set's version, with `features.json`.

    Raises:
        ValueError: If the file cannot be read, or names another class.
    """
    path = folder / "features.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); prepare the set again.") from error
    for name in _class_names(content):
        if not _TFDS_CLASS.fullmatch(name):
            raise ValueError(
                f"{path} names the class {name!r}, which TFDS would import and run; only classes "
                "of tensorflow_datasets.core.features are allowed. Prepare the set again with "
                "features of tfds.features, or delete it if it is not yours."
            )


def _class_names(content: object) -> Iterator[str]:
    """Yield every class name at any depth."""
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from (value[key] for key in _CLASS_KEYS if isinstance(value.get(key), str))
            pending += value.values()
        elif isinstance(value, list):
            pending += value
