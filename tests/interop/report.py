"""What the tests found out about each library, and the page of the documentation that says it.

The rows of libraries that need gigabytes are kept in `by_hand.json`, with the day of their run.
"""

import contextlib
import datetime
import importlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
FILES = [
    "transformers_flax",
    "linen_modules",
    "nnx_modules",
    "equinox_modules",
    "equimo_models",
    "haiku_modules",
    "keras_models",
    "penzai_models",
    "jax_nn",
]
# In an environment of their own, with `make interop ARGS=--all`.
FILES_BY_HAND = ["keras_hub_models", "gemma_models", "tunix_models", "alphafold_modules"]
BY_HAND = Path(__file__).with_name("by_hand.json")
COLUMNS = ["found", "named", "edited", "gradient", "summary"]
_results: dict[tuple[str, str, str], bool] = {}


@contextlib.contextmanager
def record(file: str, model: str, column: str) -> Iterator[None]:
    """Note whether a part of a test passes; a column holds if all its parts do."""
    before = _results.get((file, model, column), True)
    _results[file, model, column] = False
    yield
    _results[file, model, column] = before


def is_complete(files: list[str]) -> bool:
    """Whether every test of every model was run, whatever came of it."""
    return all(
        (file, model, column) in _results
        for file in files
        for model in _library(file).models
        for column in COLUMNS
        if column != "named"  # a part of the test that asks what is found
    )


def write(files: list[str]) -> None:
    """Write the page of the documentation, with new rows for these libraries."""
    if files == FILES_BY_HAND:
        today = datetime.date.today().isoformat()
        rows = {file: [*_row(file), today] for file in files}
        BY_HAND.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        _replace_rows_by_hand()
    else:
        PAGE.write_text(_page(), "utf-8")


def _replace_rows_by_hand() -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(START_BY_HAND)
    after = rest.partition(LINES)[2]
    PAGE.write_text(before + _by_hand() + LINES + after, "utf-8")


def _library(file: str):
    return importlib.import_module(f"libraries.{file}").LIBRARY


def _page() -> str:
    table = _table([*COLUMNS, "models"], map(_row, FILES))
    sections = map(_section, [*FILES, *FILES_BY_HAND])
    return INTRODUCTION + table + _by_hand() + LINES + "\n".join(sections)


def _by_hand() -> str:
    rows = json.loads(BY_HAND.read_text("utf-8")).values() if BY_HAND.exists() else []
    return START_BY_HAND + _table([*COLUMNS, "models", "on"], rows)


def _table(columns: list[str], rows: Iterable[list[str]]) -> str:
    header = ["library", "version", *columns]
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _row(file: str) -> list[str]:
    library = _library(file)
    counts = [
        f"{sum(_results.get((file, model, column), False) for model in library.models)}"
        f" of {len(library.models)}"
        for column in COLUMNS
    ]
    version = importlib.metadata.version(library.package)
    return [library.name, version, *counts, ", ".join(library.models)]


def _section(file: str) -> str:
    library = _library(file)
    return f"## {library.name}\n\n```python\n{library.lines.strip()}\n```\n"


INTRODUCTION = """# Models of other libraries

Attention that others wrote carries no hook points. {py:func}`attn_jax.hooks.tap_attention` finds it
in the program that JAX traces, whatever library it comes from, and places hook points there.
{py:func}`attn_jax.interop.named` names them by the attribute paths of the model where the library
pushes no names itself. The code of the model does not change. Then everything else works on it:
`capture`, `intervene`, `patch`, `activation_grads`, reducers, and `attn_jax.measure`.

`make interop` writes this page. It runs real models of these libraries, small and with random
weights, under `jax.jit`, and compares:

- **found**: each map with what the model returns, with attention written by hand from its
  parameters, or with what `jax.nn.softmax` gives in its own run (to 2e-5), and the output with that
  of the model (to 1e-6);
- **named**: the names with those of the modules;
- **edited**: the output with one head silenced, with that of the model after the rows of its output
  projection that belong to this head, or what its softmax gives for it, were set to zero;
- **gradient**: the gradient of a loss by the weights, times the weights and summed over each head,
  with the derivative by a factor of that head;
- **summary**: the entropy of each map, reduced inside the program, with that of the true map.

"""

START_BY_HAND = """
Some libraries need gigabytes of packages, TensorFlow among them. `make interop ARGS=--all` tries
these, by hand:

"""

LINES = """
What a user writes for each follows, after:

```python
from attn_jax.hooks import capture, intervene, patch, tap_attention
from attn_jax.interop import named
```

"""
