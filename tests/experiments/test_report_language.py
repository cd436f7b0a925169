"""The words of a report in two languages: those of templates are known, and all are used."""

import ast
import json
import re
from pathlib import Path

import pytest

from attn_jax.measure.card.kinds import KINDS
from attn_jax.plot.chinese import card_words, translation
from experiments import catalogue
from experiments.report import driving, page, segmentation, volatility, write_report
from experiments.report.language import Words, in_chinese, words

ROOT = Path(__file__).parents[2]
TEMPLATES = [*(ROOT / "experiments").rglob("*.jinja")]
# Where a sentence is composed, besides the places of its values.
_JOINTS = (
    r"; |, (?=as if)|(?<=the keys) (?=like|against)|(?<=most 1\)) |(?<=receives)(?=,| from)"
    r"|(?<=hidden key\.)|:$|(?<=tiles): |, (?=the other layers)|(?<=itself) and "
    r"|^(?:from|among) (?=what is)"
)
OWN = json.loads((ROOT / "experiments/report/words.json").read_text("utf-8"))


def strings(path):
    """Yield the texts of a module; the values of an f-string are numbered in braces."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
            places = iter(range(len(parts)))
            yield "".join(f"{{{next(places)}}}" if part is None else part for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def in_templates():
    for path in TEMPLATES:
        source = re.sub(r'" ~\s*"', "", path.read_text("utf-8"))
        yield from re.findall(r'say\("([^"]+)"[ )]+(?!~)', source)
        yield from re.findall(r'label\("[\w-]+", "([^"]+)"\)', source)
        yield from re.findall(r'facts\("([^"]+)"', source)
        for terms in re.findall(r"terms\(\[(.*?)\]\)", source, re.DOTALL):
            yield from re.findall(r'"([^"]{12,})"', terms)


def columns():
    yield from (column.replace("/", " ") for column in page._COLUMNS)
    yield from (f"{split} accuracy" for split in ("train", "validation", "test"))


def titles():
    """Yield the titles of the figures of all experiments."""
    for path in (ROOT / "experiments").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_sheet = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Sheet"
            if is_sheet and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                yield node.args[1].value


def test_every_word_of_templates_and_every_title_has_a_chinese_entry():
    known = {*in_templates(), *columns(), *titles()}
    known |= {*catalogue.experiments().values()}
    known |= {text for _, _, text in page._WORDS} | {"epoch", "epochs", "time"}
    known |= {title for _, title in page._TRANSLATION} - {"BLEU", "chrF"}
    assert len(known) > 80
    assert known - words().keys() == set()


def literals(folder):
    texts = [text for path in folder.rglob("*.py") for text in strings(path)]
    return "\n".join(re.sub(r"\{\w*\}", "{}", text) for text in texts)


@pytest.mark.parametrize("table", ["card", "report"])
def test_no_entry_is_unused(table):
    folder = ROOT / ("attn_jax" if table == "card" else "experiments")
    texts = literals(folder)
    if table == "report":
        described = catalogue.experiments().values()
        texts = "\n".join([texts, *described, *in_templates(), *columns(), *TEMPLATE_TEXTS])
    for english in card_words() if table == "card" else OWN:
        pieces = [piece.strip(" ,.") for piece in re.split(r"\{\d\}", english)]
        parts = [part for piece in pieces for part in re.split(_JOINTS, piece)]
        assert all(part in texts for part in parts), english


TEMPLATE_TEXTS = [path.read_text("utf-8") for path in TEMPLATES]


def test_entries_have_the_places_of_their_english_and_full_width_punctuation():
    for english, chinese in words().items():
        places = [sorted(re.findall(r"\{\d\}", text)) for text in (english, chinese)]
        assert places[0] == places[1], english
        half_width = r"[\u4e00-\u9fff][,.;:?!()]|[,;:?!()][\u4e00-\u9fff]"
        assert not re.search(half_width, chinese), chinese


def test_every_title_and_phrase_of_a_card_is_known():
    for kind in KINDS.values():
        for text in (kind.title, *kind.words):
            assert translation(text, card_words()), text


def test_a_sentence_of_a_card_keeps_its_numbers():
    passes = "54 % of the score passes through it"
    text = f"{passes}; mass that moves to other keys loses 83 % of its effect"
    expected = "得分的 54 % 经过这处注意力；移到别的键上的权重失去 83 % 的作用"
    assert translation(text, card_words()) == expected
    text = f"{passes}; mass that moves to other keys loses all of its effect, and more (310 %)"
    expected = "得分的 54 % 经过这处注意力；移到别的键上的权重失去全部作用，甚至起反作用（310 %）"
    assert translation(text, card_words()) == expected
    note = "The map is the weight that each key receives, the mean over 7 queries and 3 heads."
    expected = "图是每个键得到的权重，对 7 个查询和 3 个头取平均。"
    assert translation(note, card_words()) == expected
    assert translation("54 % of something else", card_words()) is None
    order = "its order is at 12 % of the way from a random order to the best"
    text = f"{order}; 5 % of the score hangs on inputs at keys that do not contribute"
    expected = "它的排序位于随机排序到最佳排序之间的 12 % 处；得分的 5 % 取决于没有贡献的键处的输入"
    assert translation(text, card_words()) == expected


def test_what_is_not_known_stays_as_it_is_and_is_escaped_elsewhere():
    say = Words("zh").say
    assert say("<b>") == "<b>"
    assert say("Attention of <b>") == (
        '<span data-en="Attention of &lt;b&gt;" data-zh="&lt;b&gt; 的注意力">'
        "&lt;b&gt; 的注意力</span>"
    )


def test_captions_are_translated_sentence_by_sentence_or_not_at_all():
    record = {"rival": "har", "low": -0.2, "high": -0.1}
    caption = volatility._caption([record, record | {"high": 0.1}, record | {"rival": "garch"}])
    known = in_chinese(caption)
    assert known is not None
    assert known.startswith(
        "注意力与其他方法在各折测试日上的损失。与 HAR 的 2 次比较中，注意力 1 次更好，"
    )
    assert in_chinese(f"{caption} A sentence of nobody.") is None


def test_the_titles_of_rows_are_known():
    titles = [*(title for title, _ in driving._ROWS), *segmentation._PARTS.values()]
    assert [title for title in titles if in_chinese(title) is None] == []
    assert in_chinese("All, 20 dB above the noise") == "全部，比噪声高 20 dB"
    assert in_chinese("-5.5% (-10.4% to -0.6%)") == "-5.5%（-10.4% 至 -0.6%）"
    assert in_chinese("0.922") is None


def test_a_report_opens_in_the_language_given(tmp_path):
    (tmp_path / "command.json").write_text(json.dumps({"experiment": "mnist_dot"}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "train/loss": 0.5}\n')
    text = write_report(tmp_path, language="zh").read_text("utf-8")
    assert '<html lang="zh-Hans">' in text
    assert ">逐轮的数字</span>" in text
    assert '<html lang="en">' in write_report(tmp_path).read_text("utf-8")
    with pytest.raises(ValueError, match="no language 'fr' among en, zh"):
        write_report(tmp_path, language="fr")
