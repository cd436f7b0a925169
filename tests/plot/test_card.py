import json
import math
import re

import numpy as np
import pytest

from attn_jax import plot
from attn_jax.plot.card import card_content

LINE = {
    "title": "Deletion",
    "value": np.float32(0.5),
    "low": 0.25,
    "high": 0.75,
    "random": math.nan,
    "uniform": None,
    "reads": "against",
    "verdict": "moves </script> nothing",
}


class Card:
    """Anything that says what it holds."""

    def to_dict(self):
        return {"verdict": "Do not read it.", "lines": [LINE]}


def test_a_card_becomes_what_json_can_hold():
    content = json.loads(json.dumps(card_content(Card()), allow_nan=False))
    (line,) = content["lines"]
    assert content["verdict"] == "Do not read it."
    assert line == {**LINE, "value": 0.5, "random": None}
    assert card_content(Card().to_dict()) == card_content(Card())
    assert content["answers"] == content["notes"] == []


def test_the_answers_of_a_card_stay_what_they_are_when_they_are_stored():
    fields = Card().to_dict() | {
        "answers": {"mass": {"reads": "against", "words": "2 % of its mass"}},
        "notes": ("The map was given.",),
    }
    content = json.loads(json.dumps(card_content(fields)))
    question = "Does the map's mass show how much?"
    assert content["answers"] == [
        {"question": question, "reads": "against", "words": "2 % of its mass"}
    ]
    assert content["notes"] == ["The map was given."]
    assert card_content(content) == content


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"verdict": "x", "lines": []}, "no lines; create one with measure.report_card"),
        ({"lines": [{**LINE, "reads": "yes"}]}, "reads='yes'; it must be one of"),
        ({"lines": [LINE, {"title": "x"}]}, "line 1 of the card lacks verdict, reads, value"),
    ],
)
def test_what_is_no_card_is_refused(card, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        card_content(card)


def test_the_viewer_holds_the_card():
    page = plot.viewer(np.full((3, 5), 0.2), card=Card()).html()
    payload = json.loads(re.search(r'id="payload">(.*?)</script>', page, re.DOTALL)[1])
    assert payload["card"] == card_content(Card())
