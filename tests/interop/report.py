"""What the tests found out about each library, and the page of the documentation that says it."""

import contextlib
import importlib
import importlib.metadata
from collections.abc import Iterator
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
COLUMNS = ["found", "named", "edited", "gradient", "summary"]
_results: dict[tuple[str, str, str], bool] = {}


@contextlib.contextmanager
def record(file: str, model: str, column: str) -> Iterator[None]:
    """Note whether a part of a test passes; a column holds if all its parts do."""
    before = _results.get((file, model, column), True)
    _results[file, model, column] = False
    yield
    _results[file, model, column] = before


def is_complete() -> bool:
    """Whether every column of every model was tried."""
    return all(
        (file, model, column) in _results
        for file in FILES
        for model in _library(file).models
        for column in COLUMNS
    )


def write() -> None:
    """Write the page of the documentation."""
    PAGE.write_text(_page(), "utf-8")


def _library(file: str):
    return importlib.import_module(f"libraries.{file}").LIBRARY


def _page() -> str:
    header = ["library", "version", *COLUMNS, "models"]
    rows = [header, ["---"] * len(header), *map(_row, FILES)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([INTRODUCTION, table, LINES, *map(_section, FILES)])


def _row(file: str) -> list[str]:
    library = _library(file)
    counts = [
        f"{sum(_results[file, model, column] for model in library.models)} of {len(library.models)}"
        for column in COLUMNS
    ]
    version = importlib.metadata.version(library.package)
    return [library.name, version, *counts, ", ".join(library.models)]


def _section(file: str) -> str:
    library = _library(file)
    return f"\n## {library.name}\n\n```python\n{library.lines.strip()}\n```\n"


INTRODUCTION = """# Models of other libraries

Attention that others wrote carries no hook points. {py:func}`attn_jax.hooks.tap_attention` finds it
in the program that JAX traces, whatever library it comes from, and places hook points there.
{py:func}`attn_jax.interop.named` names them by the attribute paths of the model where the library
pushes no names itself. The code of the model does not change. Then everything else works on it:
`capture`, `intervene`, `patch`, `activation_grads`, reducers, and `attn_jax.measure`.

`make interop` writes this page. It runs real models of these libraries, small and with random
weights, under `jax.jit`, and compares:

- **found**: each map with what the model itself returns, or with attention written by hand from its
  parameters (to 2e-5), and the output with that of the model (to 1e-6);
- **named**: the names with those of the modules;
- **edited**: the output with one head silenced, with that of the model after the rows of its output
  projection that belong to this head were set to zero;
- **gradient**: the gradient of a loss by the weights, times the weights and summed over each head,
  with the derivative by a factor of that head;
- **summary**: the entropy of each map, reduced inside the program, with that of the true map.
"""

LINES = """
What a user writes for each follows, after:

```python
from attn_jax.hooks import capture, intervene, patch, tap_attention
from attn_jax.interop import named
```
"""
