"""The Chinese pages keep step with the English ones: headings, code, numbers, links and terms."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAIRS = {
    "README.zh.md": "README.md",
    "docs/article.zh.md": "docs/article.md",
    "docs/start_here.zh.md": "notebooks/start_here.md",
    "docs/family.zh.md": "notebooks/family.md",
}
SHORTER = {"docs/family.zh.md"}  # leaves out the cells of code, and what only they need

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\n?", re.DOTALL | re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
HAN = r"[\u4e00-\u9fff]"


def text_of(page):
    return FRONT_MATTER.sub("", (ROOT / page).read_text("utf-8"))


def prose_of(page):
    """Return a page without code, formulas, pictures and the addresses of links."""
    text = FENCE.sub("", text_of(page))
    text = re.sub(r"\$[^$]+\$|`[^`]+`", "", text)
    return re.sub(r"\]\([^)]+\)", "]", text)


def code_of(page):
    """Return the lines of code, without comments and what stands beside a shell's commands."""
    lines = []
    for kind, body in FENCE.findall(text_of(page)):
        is_cell = kind.startswith("{code-")
        if kind in ("", "python") or (is_cell and ":tags:" not in body):
            lines += [re.sub(r"\s*#.*|(?<=\S)\s{2,}\S.*", "", line) for line in body.splitlines()]
    return [line.rstrip() for line in lines if line.strip()]


def links_of(page):
    """Return what is linked, whichever language it is in."""
    targets = re.findall(r"\]\(([^)]+)\)", FENCE.sub("", text_of(page)))
    names = (target if ":" in target else Path(target).name for target in targets)
    return {re.sub(r"(\.zh)?(\.md)?$", "", name) for name in names}


def numbers_of(page):
    return set(re.findall(r"\d+(?:[.,]\d+)*(?:e-?\d+)?", prose_of(page)))


@pytest.mark.parametrize(("chinese", "english"), PAIRS.items(), ids=PAIRS)
def test_headings_have_the_same_levels(chinese, english):
    def levels(page):
        return re.findall(r"^(#+) ", FENCE.sub("", text_of(page)), re.MULTILINE)

    assert levels(chinese) == levels(english)


@pytest.mark.parametrize(("chinese", "english"), PAIRS.items(), ids=PAIRS)
def test_code_is_the_same(chinese, english):
    if chinese in SHORTER:
        assert [line for line in code_of(chinese) if line not in code_of(english)] == []
        names = set(re.findall(r"^\| (`[\w`、, ]+`)", text_of(chinese), re.MULTILINE))
        assert {name.replace("、", ", ") for name in names} <= set(
            re.findall(r"^\| (`[\w`, ]+`)", text_of(english), re.MULTILINE)
        )
        assert len(names) > 40
    else:
        assert code_of(chinese) == code_of(english)


@pytest.mark.parametrize(("chinese", "english"), PAIRS.items(), ids=PAIRS)
def test_numbers_are_the_same(chinese, english):
    only_here, only_there = (
        numbers_of(chinese) - numbers_of(english),
        numbers_of(english) - numbers_of(chinese),
    )
    assert not only_here
    assert chinese in SHORTER or not only_there


@pytest.mark.parametrize(("chinese", "english"), PAIRS.items(), ids=PAIRS)
def test_links_are_the_same(chinese, english):
    pair = {re.sub(r"(\.zh)?\.md$", "", Path(page).name) for page in (chinese, english)}
    here, there = links_of(chinese) - pair, links_of(english) - pair
    assert here - there == set()
    assert chinese in SHORTER or there - here == set()


@pytest.mark.parametrize("chinese", PAIRS)
def test_punctuation_is_full_width(chinese):
    half_width = rf"{HAN}[,;:!?()]|[,;:!?(]{HAN}|{HAN}\.(?=\s|$)"
    assert re.findall(rf".{{0,12}}(?:{half_width}).{{0,12}}", prose_of(chinese)) == []


@pytest.mark.parametrize("chinese", PAIRS)
def test_terms_are_those_of_the_glossary(chinese):
    english = r"\b(?:tokens?|quer(?:y|ies)|keys?|values?|precision)\b"
    chinese_others = "令牌|标记符|查准率|关键字|注意力分数"
    assert re.findall(f"{english}|{chinese_others}", prose_of(chinese)) == []
