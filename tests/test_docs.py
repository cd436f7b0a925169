"""What the documentation says is there, is there; what is public, it documents."""

import ast
import inspect
import itertools
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from attn_jax.pretrained import available

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs/_ext"))

import api_pages  # noqa: E402

PAGES = [
    name
    for name in ("README.md", "README.zh.md", "AGENTS.md", "CONTRIBUTING.md")
    if (ROOT / name).exists()
]
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in PAGES}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXPORTS = [export for package in api_pages.packages() for export in api_pages.exports(package)]


def has_description(export):
    """Whether a name is described where it is defined."""
    value = getattr(import_module(export.module), export.name)
    if export.directive != "autodata":
        text = inspect.getdoc(value) or ""
        # A dataclass without a docstring is given its signature for one.
        return bool(text) and not text.startswith(f"{export.name}(")
    body = ast.parse(Path(inspect.getfile(import_module(export.module))).read_text("utf-8")).body
    following = [
        after
        for node, after in itertools.pairwise(body)
        if export.name in {ast.unparse(t) for t in getattr(node, "targets", [])}
        or export.name == ast.unparse(getattr(node, "target", ast.Constant(0)))
    ]
    return any(isinstance(node, ast.Expr) for node in following)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda e: f"{e.package}.{e.name}")
def test_every_public_name_is_described(export):
    assert has_description(export)


@pytest.mark.parametrize("package", [p for p in api_pages.packages() if p.startswith("attn_jax")])
def test_every_public_name_has_an_entry(package):
    page, public = api_pages.page(package), import_module(package).__all__
    entries = re.findall(r"^\.\. auto\w+:: \S+\.(\w+)$", page, re.MULTILINE)
    assert sorted(entries) == sorted([package.rpartition(".")[2], *public])
    in_table = re.findall(r"^   ~\S+\.(\w+)$", page, re.MULTILINE)
    assert sorted(in_table) == sorted(public)


@pytest.mark.parametrize("page", ["README.md", "README.zh.md", "CONTRIBUTING.md"])
def test_the_targets_named_exist(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", TEXTS[page], re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_the_experiments_named_exist(page):
    named = set(re.findall(r"EXP=(\w+)|-m experiments (\w+)", TEXTS[page]))
    known = {path.stem for path in (ROOT / "experiments/configs").glob("*.py")} | {
        "list",
        "look",
        "report",
        "",
    }
    assert {name for pair in named for name in pair} <= known


def test_the_weights_that_can_be_fetched_are_listed_with_their_license():
    page = (ROOT / "docs/pretrained.md").read_text("utf-8")
    for name, source in available().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` "))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        size = f"{source.megabytes:g} MB"
        assert cells[1:5] == [source.hub_name, source.origin, source.license, size]
        assert cells[5].startswith("those that its makers published") == source.is_upstream


@pytest.mark.parametrize("page", PAGES)
def test_the_files_linked_exist(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXTS[page])
    assert [link for link in links if not (ROOT / link).exists()] == []
