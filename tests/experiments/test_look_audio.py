"""The page of a recording: its transcript, the attention to the sound, and the times of words."""

import dataclasses
import html
import json
import runpy
import wave

import numpy as np
import pytest
from pretrained_folder import golden_config, write_golden
from tokenizers import Tokenizer, decoders, models

from attn_jax.pretrained.reading.tokenizer import Tokenizer as Rules
from experiments.__main__ import main
from experiments.look.audio_sheets import draw_sheets
from experiments.look.listening import RATE, Listening, words_of
from experiments.look.look import Choice
from experiments.report.language import in_chinese

FRAME = 0.02


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny speech recognizer that hears one second, and 11 frames in it."""
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    words = [*special, *(f"w{i}" for i in range(5, golden_config("whisper")["vocab_size"]))]
    folder = write_golden("whisper", tmp_path_factory.mktemp("models"), words)
    preprocessing = {"sampling_rate": 220, "hop_length": 10, "n_fft": 40, "chunk_length": 1}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "rising.wav"
    time = np.arange(6000) / 8000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((20000 * np.sin(300 * time**2)).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def look(folder, recording, tmp_path_factory):
    looks = tmp_path_factory.mktemp("looks")
    options = ["--layer", "0", "--head", "2", "--save-captured", "--looks", str(looks)]
    assert main(["look", str(folder), "--audio", str(recording), *options]) == 0
    (page,) = looks.glob("*/*/report.html")
    return page.parent


def test_the_code_on_the_page_gives_what_was_captured(look, tmp_path):
    example = html.unescape((look / "report.html").read_text().split("<pre>")[-1])
    script = tmp_path / "example.py"
    script.write_text(example.split("</pre>")[0])
    names = runpy.run_path(str(script))
    with np.load(look / "captured.npz") as captured:
        weights = [name for name in captured if name.endswith(".weights")]
        assert len(weights) == 4  # the encoder's are left out
        for name in weights:
            np.testing.assert_allclose(captured[name], names["weights"][name], atol=1e-6)
        np.testing.assert_array_equal(captured["decoder_tokens"], names["inputs"]["decoder_tokens"])
        starts = captured["word_starts"]
    assert (np.diff(starts) > 0).all()
    assert starts[0] == 0


def test_the_page_says_what_was_read_and_shows_the_maps(look):
    page = (look / "report.html").read_text("utf-8")
    assert "0.75 s" in page
    assert "1.0, 1.1, 1.2, 1.3" in page  # the heads of the later layer
    assert "The checkpoint names no heads that align" in page
    index = json.loads((look / "figures/index.json").read_text())["figures"]
    names = {figure["name"]: figure["title"] for figure in index}
    texts = [text for each in index for text in (each["title"], each["caption"]) if text]
    assert [text for text in texts if in_chinese(text) is None] == []
    assert list(names) == ["words", "viewer", "map", "text"]
    assert names["map"] == "Layer 0, head 2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "2"], "--layer 2 is none of the 2 layers"),
        (["--text", "w7"], "reads sounds, not texts"),
    ],
)
def test_mistakes_are_one_line(options, message, folder, recording, tmp_path, capsys):
    given = [] if "--text" in options else ["--audio", str(recording)]
    assert main(["look", str(folder), *given, *options, "--looks", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def listening(starts, end, seconds, words):
    """Attention of three layers of two heads, of which head 1.1 alone follows the speech."""
    edges = np.rint(np.array([*starts, end, seconds]) / FRAME).astype(int)
    tokens, frames = len(edges) - 1, edges[-1]
    over_sound = np.full((3, 2, tokens, 1500), 1 / 1500, np.float32)
    over_sound[1, 1] = 0
    for token in range(tokens):
        width = edges[token + 1] - edges[token]
        over_sound[1, 1, token, edges[token] : edges[token + 1]] = 1 / width
    over_sound[1, 1, :, 40] = 0.9  # a frame that every token looks at
    return Listening(
        samples=np.zeros(frames * RATE // 50, np.float32),
        frame=FRAME,
        written=[f"t{i}" for i in range(tokens)],
        read=["<>", *(f"t{i}" for i in range(tokens - 1))],
        words=words,
        length=tokens - 1,
        over_sound=over_sound,
        over_text=np.full((3, 2, tokens, tokens), 1 / tokens, np.float32),
        heads=[(1, 1)],
    )


def test_words_begin_where_the_attention_of_their_first_token_does():
    sound = listening([0, 0.3, 0.5, 1.2], 1.9, 2.4, [("a", 0), ("bc", 1), ("d", 3)])
    assert [word.text for word in sound.timed] == ["a", "bc", "d"]
    np.testing.assert_allclose([word.start for word in sound.timed], [0, 0.3, 1.2])
    np.testing.assert_allclose([word.end for word in sound.timed], [0.3, 1.2, 1.9])


@pytest.mark.parametrize("count", [100, 8000])
def test_nothing_said_has_no_words(count):
    samples = np.zeros(count, np.float32)
    sound = dataclasses.replace(listening([], 0.0, FRAME, []), samples=samples)
    assert sound.timed == []
    assert next(draw_sheets(sound, Choice(0, None))).name == "words"


def test_words_begin_with_a_blank():
    pieces = ["Ġthe", "Ġst", "orm", ",", "Ġ", "cat"]
    rules = Tokenizer(models.WordLevel({piece: i for i, piece in enumerate(pieces)}, "cat"))
    rules.decoder = decoders.ByteLevel()
    tokenizer = Rules(rules, pad=0, limit=9)
    assert words_of(tokenizer, [0, 1, 2, 3, 0]) == [("the", 0), ("storm,", 1), ("the", 4)]
    assert words_of(tokenizer, [5, 2]) == [("cat", 0), ("orm", 1)]
    assert words_of(tokenizer, []) == []
