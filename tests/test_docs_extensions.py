"""What the documentation's own extensions write: a viewer, and a note on notebooks not run."""

import importlib
import inspect
import re
import types
from pathlib import Path

import pytest

from attn_jax import models, nn, plot

ROOT = Path(__file__).parents[1]
NOTEBOOK = """---
kernelspec:
  name: python3
weights: [minilm, smollm2]
---

# A title

Text.
"""


@pytest.fixture
def extension(monkeypatch):
    """Imports an extension of the documentation."""
    pytest.importorskip("sphinx", reason="`make lint` installs sphinx")
    monkeypatch.syspath_prepend(str(ROOT / "docs/_ext"))
    return importlib.import_module


def test_the_viewer_of_the_first_page_is_small_and_asks_for_nothing(extension):
    maps = ROOT / "docs/data/minilm.npz"
    page = extension("live_viewer").viewer_of(maps, "MiniLM").select(query="it").html()
    assert len(page) < 500_000
    addresses = re.findall(r"https?://[\w./]+", page)
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}


def test_a_notebook_names_its_weights_in_its_front_matter_alone(extension):
    weights_of = extension("weights").weights_of
    assert weights_of(NOTEBOOK) == ["minilm", "smollm2"]
    assert weights_of("---\nkernelspec:\n---\n\nweights: [minilm]\n") == []


def test_a_notebook_without_its_weights_says_so_below_its_title(extension, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    weights = extension("weights")
    assert weights.missing_weights(NOTEBOOK) == ["minilm", "smollm2"]
    source = [NOTEBOOK]
    weights.explain(None, "notebooks/a", source)
    title, note = source[0].split("# A title\n")[1].split("Text.")[0], "Shown without its results"
    assert note in title
    assert "`minilm`, `smollm2`" in title
    assert "fetches 176 MB" in title
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"), [("guide", NOTEBOOK), ("notebooks/b", "# A title\n")], ids=["page", "none"]
)
def test_other_pages_stay_as_they_are(name, text, extension, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    source = [text]
    extension("weights").explain(None, name, source)
    assert source == [text]


def test_stored_outputs_are_shown_until_the_cells_change(extension, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="`make lint` installs nbformat")
    stored = extension("stored")
    monkeypatch.setattr(stored, "STORED", tmp_path / "stored")
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path / "cache"))
    page = ROOT / "notebooks/bert.md"
    assert stored.stored(page) is None
    notebook = stored.read(page)
    notebook.metadata["attn_jax"] = {"commit": "abc1234", "code": "of another day"}
    stored.STORED.mkdir()
    nbformat.write(notebook, stored.STORED / "bert.ipynb")
    source = [page.read_text(encoding="utf-8")]
    extension("weights").explain(None, "notebooks/bert", source)
    assert "stored at commit abc1234 (the code has changed since)" in source[0]
    next(cell for cell in notebook.cells if cell.cell_type == "code").source += "\nprint()"
    nbformat.write(notebook, stored.STORED / "bert.ipynb")
    assert stored.stored(page) is None


def test_a_long_notebook_says_when_its_outputs_were_stored(extension, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="`make lint` installs nbformat")
    stored, weights = extension("stored"), extension("weights")
    monkeypatch.setattr(stored, "STORED", tmp_path)
    page = ROOT / "notebooks/dates.md"
    text = page.read_text(encoding="utf-8")
    assert weights.is_long(text)
    assert not weights.is_long("---\nkernelspec:\n---\n\nlong: true\n")
    source = [text]
    weights.explain(None, "notebooks/dates", source)
    assert source == [text]
    notebook = stored.read(page)
    notebook.metadata["attn_jax"] = {"commit": "abc1234", "code": stored.state_of_the_code()}
    nbformat.write(notebook, tmp_path / "dates.ipynb")
    weights.explain(None, "notebooks/dates", source)
    assert "stored at commit abc1234: it trains for long" in source[0]


def test_what_is_stored_names_no_folder_of_the_machine(extension, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="`make lint` installs nbformat")
    stored = extension("stored")
    output = nbformat.v4.new_output("stream", text=f"{ROOT}/attn_jax/plot/bars.py:1: UserWarning")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    monkeypatch.setattr(stored, "STORED", tmp_path)
    monkeypatch.setattr(stored, "execute", lambda path: notebook)
    text = stored.store(tmp_path / "page.md").read_text()
    assert "attn_jax/plot/bars.py:1" in text
    assert str(ROOT) not in text


def test_at_most_twelve_notebooks_run_with_the_pages(extension):
    weights = extension("weights")
    pages = [path.read_text("utf-8") for path in ROOT.glob("notebooks/*.md")]
    assert sum(not weights.weights_of(text) and not weights.is_long(text) for text in pages) <= 12


def test_a_notebook_is_executed_once_and_its_outputs_kept(extension, tmp_path):
    stored = extension("stored")
    page = tmp_path / "sum.md"
    front = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n"
    kernel = "kernelspec:\n  display_name: Python 3\n  name: python3\n---\n"
    page.write_text(f"{front}{kernel}\n# A sum\n\n```{{code-cell}} ipython3\n2 + 3\n```\n")
    notebook = stored.execute(page)
    assert notebook.cells[-1].outputs[0].data["text/plain"] == "5"
    page.write_text(page.read_text().replace("2 + 3", "2 + three"))
    assert stored.execute(page) is None


def test_a_page_of_old_numbers_says_so_and_one_of_todays_code_does_not(extension):
    note, today = extension("benchmarks").note, extension("benchmarks").state_of_the_code()
    assert note({"date": "2026-11-30", "commit": "abc1234", "code": today}, "ops") == ""
    old = note({"date": "2026-11-22", "commit": "abc1234", "code": "another"}, "ops")
    assert "Measured on 2026-11-22 at commit abc1234. `make bench PARTS=ops`" in old
    assert "before these pages named their commit" in note({"date": "2026-11-22"}, "ops")
    source = ["# Operations\n\nText.\n"]
    extension("benchmarks").mark(None, "benchmarks/ops", source)
    assert (
        "The code has changed since" in source[0]
        or today in (ROOT / "docs/benchmarks/ops.json").read_text()
    )


def test_a_plotting_function_shows_what_its_example_draws(extension):
    picture_of = extension("pictures").picture_of
    assert picture_of(plot.bars)[1:4] == b"PNG"
    assert picture_of(plot.merge_words) is None

    def wrong():
        """Draw nothing.

        >>> 1 + 1
        3
        """

    with pytest.raises(ValueError, match=r"the example of wrong fails:(.|\n)*Got:\n    2"):
        picture_of(wrong)


def test_the_picture_of_a_plotting_function_stands_above_its_arguments(extension, tmp_path):
    app = types.SimpleNamespace(srcdir=tmp_path)
    lines = inspect.getdoc(plot.bars).splitlines()
    extension("pictures").insert(app, "function", "attn_jax.plot.bars", plot.bars, None, lines)
    (picture,) = (tmp_path / "generated/pictures").iterdir()
    at = lines.index(f".. image:: /generated/pictures/{picture.name}")
    assert 0 < at < lines.index("Args:")
    before = list(lines)
    extension("pictures").insert(app, "function", "attn_jax.ops.softmax", plot.bars, None, lines)
    assert lines == before


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://example.org/attn-jax/source", None),
        ("https://github.com/owner/name.git", "owner/name/blob/gh-pages/notebooks/mnist.ipynb"),
        ("https://github.com/owner/name/", "owner/name/blob/gh-pages/notebooks/mnist.ipynb"),
    ],
)
def test_a_notebook_opens_in_colab_where_the_repository_can(repository, address, extension):
    expected = address and f"https://colab.research.google.com/github/{address}"
    assert extension("notebooks").colab_address(repository, "mnist") == expected


def test_a_downloaded_notebook_holds_its_images(extension, tmp_path):
    (tmp_path / "a.png").write_bytes(b"abc")
    text = "See ![a](../docs/images/a.png) and [b](../truth)."
    expected = "See ![a](data:image/png;base64,YWJj) and [b](../truth)."
    assert extension("notebooks").with_images(text, tmp_path) == expected


def test_the_first_cell_of_a_downloaded_notebook_installs_nothing_that_is_there(extension):
    shell = pytest.importorskip("IPython.core.interactiveshell", reason="`make lint` installs it")
    calls = []
    code = shell.InteractiveShell().transform_cell(extension("notebooks").INSTALL)
    names = {
        "get_ipython": lambda: types.SimpleNamespace(run_line_magic=lambda *a: calls.append(a))
    }
    exec(compile(code, "cell", "exec"), names)
    assert calls == []
    exec(compile(code.replace('"attn_jax"', '"not_there"'), "cell", "exec"), names)
    assert calls == [("pip", 'install -q "attn-jax[all]"')]


@pytest.mark.parametrize(
    ("public", "shown"),
    [
        (plot.bars, "(weights: ArrayLike, *, keys: "),
        (plot.film, "steps: ~collections.abc.Sequence[object] | NDArray | None = None, "),
        (
            nn.FeedForwardAttention,
            "activation: ~collections.abc.Callable[[~jax.Array], ~jax.Array] = relu)",
        ),
        (
            models.BagClassifier,
            "= PatchStem(features=(16, 32), sizes=(5, 3), strides=(3, 2)), ",
        ),
        (models.BagClassifier, "= AdditiveAttention(hidden_dim=64), dropout_rate: float = 0.25, "),
    ],
    ids=["array", "arrays", "function", "module", "module of the library"],
)
def test_signatures_are_short(public, shown, extension):
    inspected = importlib.import_module("sphinx.util.inspect")
    signature = inspected.signature(public)
    text = inspected.stringify_signature(signature, unqualified_typehints=True)
    what = "class" if isinstance(public, type) else "function"
    short, _ = extension("signatures").shorten(None, what, "", public, None, text, None)
    assert shown in short
    assert "_Buffer" not in short
    assert " object>" not in short
