import base64
import hashlib
import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax.plot.viewer.still import LISTENER
from attn_jax.train import RunFolderError
from experiments import report as report_package
from experiments.report import (
    Sheet,
    Table,
    draw_curves,
    draw_figures,
    save_card,
    save_sheet,
    write_report,
)
from experiments.report.figures import _levels
from experiments.report.record import commands, epoch_rows, fine_rows

TAGS = {"html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2"}
TAGS |= {"p", "dl", "div", "dt", "dd", "figure", "figcaption", "img", "pre", "details", "summary"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "iframe", "script"}
TAGS |= {"span", "label", "select", "option"}
SWITCH = (Path(report_package.__file__).parent / "language.js").read_text("utf-8")
HOSTILE = "</script><img src=x onerror=alert(1)><!-- ]]> \u2028 $x_1$ {{ 7*7 }} '\"&<svg/onload=1>"
ROWS = [
    {"step": 5, "epoch": 1, "train/loss": 0.9, "train/accuracy": 0.6, "time/elapsed": 4.0},
    {
        "step": 11,
        "epoch": 1,
        "train/loss": 0.5,
        "train/accuracy": 0.85,
        "validation/accuracy": 0.9731,
        "test/accuracy": 0.9791,
        "time/elapsed": 9.0,
    },
    {
        "step": 22,
        "epoch": 2,
        "train/loss": 0.125,
        "train/accuracy": 0.95,
        "validation/accuracy": 0.9687,
        "test/accuracy": 0.9753,
        "time/elapsed": 187.2,
    },
]
COMMAND = {
    "experiment": "mnist_dot",
    "arguments": ["--train.seed", "2"],
    "versions": {"python": "3.11.7", "jax": "0.10.2"},
    "device": {"platform": "cpu", "kind": "cpu", "count": 3},
    "train": {"learning_rate": 0.003},
}


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def make_run(run, command=COMMAND, rows=ROWS):
    run.mkdir(exist_ok=True)
    (run / "command.json").write_text(json.dumps(command), encoding="utf-8")
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def images_and_weights(count, heads=None):
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(49), count if heads is None else (count, heads))
    return rng.integers(0, 256, (count, 28, 28), np.uint8), weights


def report(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_the_page_tells_the_numbers_of_the_last_epoch(tmp_path):
    page = report(make_run(tmp_path))
    headline = [word.strip() for word in page.words if word.strip()]
    assert headline[headline.index("test accuracy") + 1] == "97.53 %"
    assert headline[headline.index("time") + 1] == "3 min 7 s"
    assert page.tags.count("tr") == 1 + 2 + 3 + 1  # epochs, facts, one setting
    for words in (
        "dot-product",
        "make train EXP=mnist_dot ARGS='--train.seed 2'",
        "ARGS=--resume",
        "0.10.2",
        "3 × cpu",
    ):
        assert words in page.text


@pytest.mark.parametrize("heads", [None, 3])
def test_the_figures_are_in_the_page_and_nothing_is_loaded(tmp_path, heads):
    run = make_run(tmp_path)
    images, weights = images_and_weights(230, heads)
    labels = np.arange(230) % 10
    predictions = labels.copy()
    predictions[:4] += 1
    files = draw_figures(run, images, labels, predictions, weights, (7, 7))
    assert all(path.stat().st_size > 1000 for path in files)
    page = report(run)
    names = {path.stem for path in files}
    drawn = {"curves", "digits", "mistakes", "classes"} | ({"heads"} if heads else set())
    assert names == drawn | {"viewer"}
    # Each again for a phone, the curves in two parts; and a picture of the viewer.
    assert page.tags.count("img") == 2 * len(drawn) + 2
    scripts = re.findall(r"<script>(.*?)</script>", (run / "report.html").read_text(), re.DOTALL)
    assert scripts == [LISTENER, SWITCH]
    assert page.tags.count("iframe") == 1
    assert (
        "4 of 230 test images were misclassified. All are shown: prediction on the left"
        in page.text
    )
    for _, name, value in page.attributes:
        assert name not in ("href", "action", "srcset", "style")
        image = r"data:image/(webp|svg\+xml|png);base64,[\w+/=]+"
        assert name != "src" or re.fullmatch(image, value)
    assert set(page.tags) <= TAGS


def test_pictures_ask_for_nothing_either(tmp_path):
    page = report(make_run(tmp_path))
    sources = [value for _, name, value in page.attributes if name == "src"]
    assert len(sources) == 3  # the curves, and each by itself for a phone
    for source in sources:
        svg = base64.b64decode(source.partition(",")[2]).decode()
        assert "prefers-color-scheme:dark" in svg
        links = re.findall(r'(?:xlink:)?href="([^"]*)"', svg)
        assert all(link.startswith(("#", "data:")) for link in links)
        assert "<script" not in svg


def test_the_policy_allows_only_this_style_and_embedded_images(tmp_path):
    run = make_run(tmp_path)
    page = report(run)
    (policy,) = [value for _, name, value in page.attributes if value and "default-src" in value]
    style = re.search(r"<style>(.*?)</style>", (run / "report.html").read_text(), re.S)
    digest, switch = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style.group(1), SWITCH)
    )
    assert policy == (
        f"default-src 'none'; img-src data:; script-src 'sha256-{switch}'; "
        f"style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_text_is_only_text(tmp_path):
    hostile = {
        "experiment": HOSTILE,
        "arguments": [HOSTILE],
        "versions": {HOSTILE: HOSTILE},
        "device": HOSTILE,
        HOSTILE: [HOSTILE],
    }
    rows = [*ROWS, {"step": 33, "epoch": 3, f"{HOSTILE}/loss": 1.0, "test/accuracy": 0.5}]
    run = make_run(tmp_path, hostile, rows)
    images, weights = images_and_weights(11)
    labels = np.arange(11) % 3
    draw_figures(run, images, labels, labels * 0, weights, (7, 7), names=[HOSTILE] * 3)
    index = run / "figures" / "index.json"
    entries = json.loads(index.read_text())["figures"]
    entries[0] |= {"title": HOSTILE, "caption": HOSTILE}
    # A list alone, as version 0.1.0 wrote it.
    index.write_text(json.dumps(entries))
    page = report(run)
    assert set(page.tags) <= TAGS
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert HOSTILE in page.text
    assert "{{ 7*7 }}" in page.text


@pytest.mark.parametrize("all_right", [True, False])
def test_rows_as_tokens_and_one_sided_results(tmp_path, all_right):
    run = make_run(tmp_path)
    labels = np.arange(5)
    predictions = labels if all_right else labels + 1
    images = np.zeros((5, 28, 28), np.uint8)
    files = draw_figures(run, images, labels, predictions, np.full((5, 28), 1 / 28), (28, 1))
    drawn = {"curves", "digits" if all_right else "mistakes"}
    assert {path.stem for path in files} == drawn | {"viewer"}


def test_any_figure_of_the_folder_is_shown(tmp_path):
    run = make_run(tmp_path)
    for _ in range(2):
        draw_figures(run, *no_images(), (7, 7))
    (run / "figures" / "mine.png").write_bytes(b"\x89PNG")
    page = report(run)
    assert "mine" in page.text
    assert page.tags.count("img") == 3 + 1


def no_images():
    return np.zeros((0, 28, 28)), np.zeros(0, int), np.zeros(0, int), np.zeros((0, 49))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="train first"):
        write_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1}\n')
    with pytest.raises(RunFolderError):
        write_report(tmp_path)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]))))
def test_commands_reach_the_program_as_they_were(arguments):
    line = commands({"experiment": "x", "arguments": arguments})["rerun"]
    kept = [argument for argument in arguments if argument != "--resume"]
    _, _, _, *rest = shlex.split(line)
    # make expands $$ to $ and hands the rest to the shell, which splits it.
    passed = rest[0].removeprefix("ARGS=").replace("$$", "$") if rest else ""
    assert shlex.split(passed) == kept


def test_resuming_is_told_where_the_runs_are():
    arguments = ["--runs", "my runs", "--train.seed", "2"]
    line = commands({"experiment": "x", "arguments": arguments})["resume"]
    assert line == """make train EXP=x ARGS='--resume --runs '"'"'my runs'"'"''"""


def test_rows_within_an_epoch_lie_at_their_fraction_of_it():
    assert [row["epoch"] for row in fine_rows(ROWS)] == pytest.approx([5 / 11, 1, 2])
    assert [row["step"] for row in epoch_rows(ROWS)] == [11, 22]


LINE = {"title": HOSTILE, "value": 0.25, "low": 0.125, "high": 0.5, "random": None}
LINE |= {"uniform": 0.75, "reads": "against", "verdict": "moves nothing"}
CARD = {"verdict": "Do not read it.", "lines": [LINE]}


def test_the_report_holds_the_card(tmp_path):
    run = make_run(tmp_path / "run")
    save_card(run, CARD)
    page = Page(write_report(run).read_text("utf-8"))
    assert set(page.tags) <= TAGS | {"strong"}
    assert HOSTILE in page.text
    for text in ("Do not read it.", "0.250", "(0.125 to 0.500)", "–", "0.750", "moves nothing"):
        assert text in " ".join(page.text.split())
    assert ("tr", "class", "against") in page.attributes


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A run whose figures are drawn."""
    run = make_run(tmp_path_factory.mktemp("drawn"))
    draw_figures(run, *no_images(), (7, 7))
    return run


@pytest.mark.parametrize("content", ["", '[{"name"', "{}", "null", "[1]", '[{"name": 3}]'])
def test_a_damaged_index_is_said_and_written_again(content, drawn, tmp_path, capsys):
    run = shutil.copytree(drawn, tmp_path / drawn.name)
    index = run / "figures" / "index.json"
    before = index.read_text()
    index.write_text(content)
    assert "Learning curves" in report(run).text
    assert str(index) in capsys.readouterr().err
    assert index.read_text() == before
    # Whole files with a bad entry lose only that.
    assert content in ("[1]", '[{"name": 3}]') or aside(index) == content


def aside(path):
    """What a damaged file held, which is kept beside the new one."""
    return path.with_name(f"{path.name}.damaged").read_text()


def test_a_changed_figure_in_the_index_or_number_on_the_card_is_found(tmp_path, capsys):
    run = make_run(tmp_path)
    save_sheet(run, Sheet("table", "A table", "Of 3 rows.", Table(["a"], [["1"]])))
    save_card(run, CARD)
    changed = []
    for path, old, new in (
        (run / "figures" / "index.json", "Of 3 rows", "Of 5 rows"),
        (run / "card.json", "0.25", "0.75"),
    ):
        changed.append(path.read_text().replace(old, new))
        path.write_text(changed[-1])
    page = report(run)
    assert "Of 5 rows" not in page.text
    assert "How far can this be believed?" not in page.text
    error = capsys.readouterr().err
    assert error.count("does not match its checksum") == 2
    assert changed == [aside(run / "figures" / "index.json"), aside(run / "card.json")]
    (run / "card.json").write_text(changed[1])
    save_card(run, CARD)
    assert "card.json does not match its checksum" in capsys.readouterr().err
    assert "How far can this be believed?" in report(run).text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"lines": 3}', '{"lines": [{"title": 1}]}'])
def test_a_damaged_card_is_said_and_left_out(content, tmp_path, capsys):
    run = make_run(tmp_path)
    (run / "card.json").write_text(content)
    assert "How far can this be believed?" not in report(run).text
    error = capsys.readouterr().err
    assert "card.json" in error
    assert "left out." in error
    assert aside(run / "card.json") == content


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b""), ("a.csv", b"\xff,2"), ("a.svg", b"<svg \xff"), ("a.html", b"\xff")],
)
def test_a_damaged_figure_is_said_and_left_out(name, content, tmp_path, capsys):
    run = make_run(tmp_path)
    (run / "figures").mkdir()
    (run / "figures" / name).write_bytes(content)
    assert "Learning curves" in report(run).text
    assert f"{name} cannot be read" in capsys.readouterr().err


def test_a_full_disk_costs_no_figure_and_no_page(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    save_sheet(run, Sheet("table", "A table", "", Table(["a"], [["1"]])))
    report(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    def full(path):
        raise OSError(28, "No space left on device")

    # The new content is there, but is never flushed: every file must still be the old one.
    monkeypatch.setattr("attn_jax.train.disk.manifest.sync", full)
    sheet = Sheet("table", "A table", "", Table(["b"], [["2"]]))
    for write in (lambda: save_sheet(run, sheet), lambda: draw_curves(run), lambda: report(run)):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("dtype", "values", "levels"),
    [
        (np.uint8, [0, 9], (0, 255)),
        (np.uint16, [7, 60000], (0, 60000)),
        (np.int8, [-128, 127], (-128, 127)),
        (np.int32, [-5, 100], (-5, 255)),
        (np.float32, [0, 0.5], (0, 1)),
        (np.float32, [-1, 255], (-1, 255)),
        (bool, [0, 1], (0, 1)),
    ],
)
def test_a_negative_stays_within_the_type_of_its_image(dtype, values, levels):
    images = np.array(values, dtype)
    black, white = _levels(images)
    assert (black, white) == levels
    negative = (black + white - images).astype(dtype)
    expected = [sum(levels) - int(value) if value != 0.5 else 0.5 for value in images.tolist()]
    assert negative.tolist() == expected


def test_when_a_run_began_is_no_setting(tmp_path):
    run = make_run(tmp_path, COMMAND | {"begun": "2026-11-29T10:00:00+00:00"})
    assert "begun" not in report(run).text
