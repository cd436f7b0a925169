"""What the documentation's own extensions write: a viewer, and a note on notebooks not run."""

import importlib
import re
from pathlib import Path

import pytest

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
