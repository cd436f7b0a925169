"""What stands on the pages runs when it is pasted alone, and says the same in two languages."""

import re
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/benchmarks/*.md"),
        *ROOT.glob("notebooks/*.md"),
    ]
)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)

# Each opens a checkpoint, which names it; `make pretrained` runs these with the weights.
NEEDS_WEIGHTS = re.compile(r'pretrained\.load\("')
# The pages that `make interop` and `make bridge` write: lines to insert into a program of the
# reader's own, for libraries that are not installed here.
WRITTEN_ELSEWHERE = {"docs/interop.md", "docs/bridge.md"}
# Waits for processes on other machines; `tests/train` starts such processes.
NEEDS_PROCESSES = re.compile(r"train\.join\(")
# These open a run that `make train EXP=mnist_additive` has left.
NEEDS_A_RUN = re.compile(r"experiments\.load\(")


def blocks(page):
    """Return the Python on a page, block by block."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


SNIPPETS = {
    f"{page}:{number}": block
    for page in PAGES
    # The Chinese pages have the code of the English ones, which another test compares.
    if page not in WRITTEN_ELSEWHERE and not page.endswith(".zh.md")
    for number, block in enumerate(blocks(page))
    if not any(each.search(block) for each in (NEEDS_WEIGHTS, NEEDS_A_RUN, NEEDS_PROCESSES))
}


def run(block, name):
    """Run a block as if it were pasted into a new session."""
    exec(compile(block, name, "exec"), {"__name__": "__main__"})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", SNIPPETS)
def test_the_snippet_runs_when_pasted_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the files that it writes
    with jax.numpy_rank_promotion("allow"):  # as a reader's session does
        run(SNIPPETS[name], name)


def test_nothing_else_is_left_out():
    """A pattern that matched more than it should would leave out snippets that could run."""
    everything = {
        f"{page}:{number}": block
        for page in PAGES
        if page not in WRITTEN_ELSEWHERE and not page.endswith(".zh.md")
        for number, block in enumerate(blocks(page))
    }
    left_out = everything.keys() - SNIPPETS.keys()
    by_page = {name.rpartition(":")[0] for name in left_out}
    assert by_page == {
        "AGENTS.md",
        "README.md",
        "docs/experiments.md",
        "docs/pretrained.md",
        "docs/runs.md",
        "docs/scaling.md",
    }
    assert len(left_out) <= 21


def test_llms_txt_names_every_page_and_no_other():
    text = (ROOT / "docs/llms.txt").read_text("utf-8")
    named = set(re.findall(r"^- \[.+\]\((.+)\.html\): .+", text, re.MULTILINE))
    guides = {path.stem for path in ROOT.glob("docs/*.md")} - {"index"}
    packages = {
        f"generated/attn_jax.{path.parent.name}" for path in ROOT.glob("attn_jax/*/__init__.py")
    }
    exist = (
        guides | packages | {"benchmarks/index", "notebooks/start_here", "generated/experiments"}
    )
    assert named <= exist
    assert guides <= named
