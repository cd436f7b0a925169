"""Write `bible_alignments.tsv`: human links between the Greek of 1 John and its English words.

Run from the root, `python tests/measure/make_bible_alignments.py`. The wheel has the whole New
Testament; one letter that repeats its words often is enough to learn them.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

from attn_jax.tasks.fetch import Wheel, fetch_wheel

WHEEL = Wheel(
    "bible-alignments",
    "0.4.2",
    "84f6b15e706657777824aac811567cb5cb2b38ad2b94497209f5f3c3f67b0984",
    python_version="3.11",
)
FIRST_JOHN, LONGEST = "62", 24
BRACKETS = str.maketrans("", "", "[]")
FILE = Path(__file__).with_name("bible_alignments.tsv")


def main():
    with fetch_wheel(WHEEL) as root:
        lines = ["source\ttarget\talignment\tgloss", *read_verses(root / "data")]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(FILE.name, len(lines) - 1, "verses")


def read_verses(data: Traversable) -> Iterator[str]:
    """Yield the short verses as lines of a file of pairs, without punctuation, which has no links.

    Args:
        data: The folder `data` of the wheel.

    Yields:
        Greek words, English words, links `i-j`, and what each Greek word means, separated by `|`
        (`-` for nothing), all of these separated by tabs.
    """
    greek, english, glosses = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in _rows(data / "sources" / "SBLGNT.tsv"):
        verse = row["id"].removeprefix("n")[:8]
        greek[verse].append((row["id"], row["text"]))
        glosses[verse].append(row["gloss"].translate(BRACKETS))
    for row in _rows(data / "eng" / "targets" / "BSB" / "nt_BSB.tsv"):
        if row["exclude"] != "y":
            english[row["source_verse"]].append((row["id"], row["text"]))
    records = defaultdict(list)
    name = data / "eng" / "alignments" / "BSB" / "SBLGNT-BSB-manual.json"
    for record in json.loads(name.read_text(encoding="utf-8"))["records"]:
        records[record["source"][0].removeprefix("n")[:8]].append(record)
    for verse in sorted(greek):
        sides = greek[verse], english[verse]
        if verse.startswith(FIRST_JOHN) and max(map(len, sides)) <= LONGEST:
            links = " ".join(_links(records[verse], *sides))
            yield "\t".join([*map(_text, sides), links, "|".join(glosses[verse])])


def _rows(path: Traversable) -> Iterator[dict[str, str]]:
    text = path.read_text(encoding="utf-8")
    return csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)


def _text(words: list[tuple[str, str]]) -> str:
    return " ".join(text for _, text in words)


def _links(records, greek, english) -> list[str]:
    places = [{name: place for place, (name, _) in enumerate(side)} for side in (greek, english)]
    links = {
        (places[0][source], places[1][target])
        for record in records
        for source in record["source"]
        for target in record["target"]
        if source in places[0] and target in places[1]
    }
    return [f"{source}-{target}" for source, target in sorted(links)]


if __name__ == "__main__":
    main()
