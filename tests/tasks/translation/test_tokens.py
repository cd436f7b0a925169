import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax.tasks.translation.subwords import train_subwords
from attn_jax.tasks.translation.tokens import (
    BEGIN,
    END,
    PAD,
    UNKNOWN,
    join_tokens,
    normalize,
    split_tokens,
    train_vocabulary,
)
from attn_jax.tasks.translation.words import bare_token

TEXTS = st.text() | st.text("ab'’-.,«(»)é漢字のहिन्दी 5% qulLdD_", max_size=20)

# Letters, marks, joiners, punctuation and symbols of many scripts, and the marks of the tokens.
SCRIPTS = (
    "abCÉœß ßñ '’-‐–—.,:;!?…\"“”„«»()[]{}/%°$€#@&*_01９ "
    "你好世界，。！？：；“”（）「」《》、 これはペンー々 안녕하세요 กขคน้ำ ລາວ ខ្ញុំ​ မြန်မာ။ "
    "می‌خواهم،؟؛ שָׁלוֹם عربي\u200f\u200e हिन्दी। ශ්‍රී ಸಾಫ್ಟ್‌ தமிழ் ไทย ελληνικά· русский հայ։ ქარ አማ።"
    "👨‍👩‍👧🇫🇷❤️👍🏽1️⃣🏴\U000e0067\U000e007f co\u2060op\u00ad\u034f\ufeff \U00020000 ▁‿▁‿"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Qu'est-ce que c'est ?", ["Qu'", "est-ce", "que", "c'", "est", "?"]),
        ("I don't, he's 3.", ["I", "don't", ",", "he's", "3", "."]),
        ("jusqu’à aujourd’hui", ["jusqu’", "à", "aujourd’hui"]),
        ("我有3只cats。", ["我", "有", "3", "只", "cats", "。"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("PM2.5: 3,5 % at 10:30.", ["PM2.5", "‿:", "3,5", "▁%", "at", "10:30", "."]),
        ("Fini ! « Oui » : 5 °C.", ["Fini", "!", "«", "Oui", "»", ":", "5", "°", "C", "."]),
        ('Say "yes" (or “no”)…', ["Say", '"', "yes", '"', "(", "or", "“", "no", "”", ")", "…"]),
        ("“Hi!” 我用 Python。", ["“", "Hi", "‿!", "”", "▁我", "用▁", "Python", "。"]),
        ("«Да», ‿ ▁a", ["«‿", "Да", "‿»", ",", "‿", "▁", "‿a"]),
        ("می‌خواهم co\u00adop", ["می‌خواهم", "co\u00adop"]),
        ("👨‍👩‍👧 ok🇫🇷❤️👍🏽", ["👨‍👩‍👧", "ok", "‿🇫🇷", "‿❤️", "‿👍🏽"]),
    ],
)
def test_words_by_hand(text, words):
    assert split_tokens(text, "words") == words
    assert join_tokens(words, "words") == text


def test_joining_follows_the_usual_spacing():
    words = ["L'", "ami", "(", "d'", "ici", ")", "dit", "«", "oui", "»", ",", "là", "."]
    assert join_tokens(words, "words") == "L'ami (d'ici) dit « oui », là."


@given(TEXTS | st.text(SCRIPTS))
def test_words_survive_a_round_trip(text):
    text = normalize(text)
    tokenizer = train_vocabulary([split_tokens(text, "words")], "words")
    numbers = tokenizer.encode(text)
    assert tokenizer.decode(numbers) == join_tokens(tokenizer.tokens(text), "words") == text
    bare = [bare_token(token) for token in tokenizer.tokens(text)]
    assert "".join(bare) == text.replace(" ", "")
    assert all(number > UNKNOWN for number in numbers)


@pytest.mark.parametrize(
    "text",
    [
        "你好，世界！他说：“好的。”",
        "我用Python写代码，价格是5元。",
        "これは本です。はい、そうです！",
        "ฉันรักภาษาไทย",
        "می‌خواهم کتاب‌ها",
        "ශ්‍රී ලංකාව",
        "👨‍👩‍👧",
        "🇫🇷",
        "❤️",
    ],
)
def test_scripts_without_blanks_and_joiners_need_no_marks(text):
    tokens = split_tokens(text, "words")
    assert not {"▁", "‿"} & set("".join(tokens))
    assert join_tokens(tokens, "words") == text


def test_a_word_with_other_blanks_than_in_training_is_the_same_word():
    trained = train_vocabulary([["Stop", "!"], ["5", "▁%"]], "words")
    assert trained.decode(trained.encode("Stop! 5%")) == "Stop ! 5 %"


@pytest.mark.parametrize("level", ["characters", "blanks"])
@given(text=TEXTS)
def test_characters_and_blanks_give_the_text_back(level, text):
    text = normalize(text)
    tokenizer = train_vocabulary([split_tokens(text, level)], level)
    assert tokenizer.decode([BEGIN, *tokenizer.encode(text), END, 4, PAD]) == text


@given(TEXTS)
def test_normalizing_twice_is_normalizing_once(text):
    assert normalize(normalize(text)) == normalize(text)


def test_what_training_never_met_is_unknown():
    tokenizer = train_vocabulary(["abba", "b"], "characters")
    assert tokenizer.size == len(tokenizer.vocabulary) == 6
    assert tokenizer.encode("bxa") == [5, UNKNOWN, 4]
    assert tokenizer.decode([5, UNKNOWN, 4]) == "b⁇a"


@pytest.fixture(scope="module")
def subwords():
    words = [f"{a}{b}ing {b}est" for a in string.ascii_lowercase for b in ("lo", "hi", "re")]
    return train_subwords(words, 60)


@given(text=st.text(string.ascii_lowercase + " ", max_size=30).map(normalize))
def test_subwords_give_the_text_back(subwords, text):
    numbers = subwords.encode(text)
    assert all(UNKNOWN < number < subwords.size for number in numbers)
    assert [subwords.vocabulary[number] for number in numbers] == subwords.tokens(text)
    assert subwords.decode([*numbers, END, 7]) == text


@pytest.mark.parametrize("char", ["\u2581", "\u2585", "\0"])
def test_subwords_give_back_the_characters_that_sentencepiece_reserves(char):
    texts = [f"word {i} a{char}b {char} see {char}c" for i in range(40)]
    tokenizer = train_subwords(texts, 60)
    numbers = tokenizer.encode(texts[3])
    assert tokenizer.decode(numbers) == texts[3]
    assert [tokenizer.vocabulary[number] for number in numbers] == tokenizer.tokens(texts[3])
    assert char in "".join(tokenizer.tokens(texts[3]))


def test_subwords_never_turn_a_reserved_character_into_a_blank(subwords):
    assert subwords.decode(subwords.encode("lo▁hi")) == "lo⁇hi"


def test_subwords_know_the_special_ones(subwords):
    assert UNKNOWN in subwords.encode("loЖ")
    assert "⁇" in subwords.decode(subwords.encode("loЖ"))
    assert subwords.size == len(subwords.vocabulary) <= 60
    assert any(len(piece) > 2 for piece in subwords.vocabulary[4:])


def test_subword_training_repeats_itself():
    sentences = ["the same words", "in the same order"] * 5
    assert train_subwords(sentences, 30).model == train_subwords(sentences, 30).model


def test_a_vocabulary_too_small_for_the_letters_is_refused():
    with pytest.raises(ValueError, match=r"vocabulary_size=6 is too small .* level 'words'"):
        train_subwords(["a great many letters"] * 3, 6)
