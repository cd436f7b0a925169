"""Spoken words: the times of a recording, spectrograms by hand, and a user's own sounds."""

import importlib.util
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import wavfile

from attn_jax.tasks import Speech
from attn_jax.tasks.speech.features import HOP, MELS, log_mel, normalized
from attn_jax.tasks.speech.generated import SYMBOLS, draw_words
from attn_jax.tasks.speech.own import read_utterances
from attn_jax.tasks.speech.speaker import Speaker
from attn_jax.tasks.speech.utterance import RATE
from attn_jax.tasks.speech.voices import (
    ACCENTS,
    NEW_ACCENT,
    VARIANTS,
    draw_voice,
    require_different,
)

RECORDED = Path(__file__).parent / "speech" / "fixture" / "table.tsv"
SPEAKS = importlib.util.find_spec("espeakng_loader") is not None
needs_synthesizer = pytest.mark.skipif(not SPEAKS, reason="needs the extra `speech`")


def write_folder(folder, cells, sound=None):
    sound = (np.sin(np.arange(RATE)) * 2**14).astype(np.int16) if sound is None else sound
    wavfile.write(folder / "tone.wav", RATE, sound)
    table = folder / "table.tsv"
    table.write_text("\n".join(["file\ttext\ttimes", *cells]) + "\n")
    return table


@pytest.fixture(scope="module")
def recorded():
    return read_utterances(RECORDED)


def test_the_times_of_a_recording_are_where_its_words_sound(recorded):
    for each in recorded:
        loud = np.abs(each.sound) > 300
        before, after = int(each.times[0] * RATE), int(each.times[-1] * RATE)
        assert not loud[: before - 160].any()
        assert loud[after - 1600 :].any()
        for begin, end in itertools.pairwise(each.times):
            assert loud[int(begin * RATE) : int(end * RATE)].mean() > 0.2
    # The /s/ of seven has more power above 4 kHz than any other sound of "three seven two".
    first = recorded[0]
    samples = first.sound[: len(first.sound) // HOP * HOP].astype(np.float32) / 2**15
    mel = np.asarray(log_mel(jnp.asarray(samples[None])))[0]
    hissing = mel[:, -8:].mean(-1).argmax() / 100
    assert first.words == ("three", "seven", "two")
    assert first.times[1] <= hissing < first.times[1] + 0.15


def test_a_tone_fills_the_band_of_its_pitch_alone():
    time = np.arange(RATE // 4) / RATE
    mel = np.asarray(log_mel(jnp.sin(2 * np.pi * 1000 * time)[None]))[0]
    assert mel.shape == (25, MELS)
    # The middles of the bands lie evenly on the mel scale, so 1000 Hz is 1000 of 2840 mel.
    assert set(mel[2:-2].argmax(-1)) <= {int(1000 / 2840 * (MELS + 1)) + step for step in (-1, 0)}


def test_spectrograms_are_normalized_without_their_padding():
    mel = np.random.default_rng(0).normal(3, 2, (2, 11, 5)).astype(np.float32)
    scaled = np.asarray(normalized(jnp.asarray(mel), jnp.array([11, 7])))
    alone = np.asarray(normalized(jnp.asarray(mel[1:, :7]), jnp.array([7])))
    np.testing.assert_allclose(scaled[1, :7], alone[0], atol=1e-5)
    np.testing.assert_array_equal(scaled[1, 7:], 0)
    np.testing.assert_allclose(scaled[0].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[0].std(), 1, atol=1e-4)


def test_words_and_voices_are_drawn_as_each_split_has_them():
    rng = np.random.default_rng(0)
    drawn = [draw_words("letters", (2, 5), rng) for _ in range(300)]
    assert {len(words) for words in drawn} == {2, 3, 4, 5}
    assert {word for words in drawn for word in words} == set(SYMBOLS["letters"])
    voices = {s: [draw_voice(s, rng).split("+") for _ in range(400)] for s in VARIANTS}
    for first, second in itertools.combinations(voices, 2):
        assert not {name for _, name in voices[first]} & {name for _, name in voices[second]}
    assert {accent for accent, _ in voices["train"]} == set(ACCENTS)
    new = [accent == NEW_ACCENT for accent, _ in voices["test"]]
    assert 0.4 < np.mean(new) < 0.6


def test_noise_is_new_in_training_and_has_its_level(tmp_path):
    table = write_folder(tmp_path, ["tone.wav\tone two\t0.1 0.4 0.9", *["tone.wav\ttwo\t"] * 9])
    task = Speech(path=table, snr=(20.0, 20.0))
    (bucket,) = task.load()["train"]
    assert sorted({split: len(b[0]["row"]) for split, b in task.load().items()}.values()) == [
        1,
        1,
        8,
    ]
    known = int(np.flatnonzero(bucket["times"][:, 1] >= 0)[0])
    np.testing.assert_allclose(bucket["times"][known], [0.1, 0.4, 0.9], atol=1e-6)
    vocabulary = task.tokenizer.vocabulary
    assert [vocabulary[i] for i in bucket["target"][known]] == ["one", "two", "<end>"]
    prepare = jax.jit(task.prepare)
    quiet, again = (np.asarray(prepare(bucket)["mel"]) for _ in range(2))
    first, second = (np.asarray(prepare(bucket, jax.random.key(s))["mel"]) for s in (0, 1))
    np.testing.assert_array_equal(quiet, again)
    assert np.abs(first - second).max() > 0.1
    assert np.abs(first - quiet).max() > 0.1
    assert prepare(bucket)["frames"].tolist() == [100] * 8


BAD = {
    "missing": ("other.wav\tone\t", "line 2: there is no file"),
    "no word": ("tone.wav\t...\t", "line 2: the text '...' has no word"),
    "fast": (f"tone.wav\t{'one ' * 20}\t", "line 2: 20 words in 1.00 s"),
    "times": ("tone.wav\tone two\t0.4 0.1 0.9", "line 2: the times .* are not 3 rising numbers"),
    "late": ("tone.wav\tone\t0.4 1.9", "from 0 to 1.00"),
    "words": ("tone.wav\tone\tnoon", "the times 'noon'"),
    "sound": ("table.tsv\tone\t", "cannot be read .*save it as WAV"),
}


@pytest.mark.parametrize(("cells", "message"), BAD.values(), ids=BAD)
def test_a_bad_line_is_refused_with_its_number(cells, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_utterances(write_folder(tmp_path, [cells]))


def test_silence_and_long_sounds_are_refused(tmp_path):
    for sound, message in (
        (np.zeros(9, np.int16), "silent"),
        (np.ones(21 * RATE, np.int16), "21.0 s"),
    ):
        with pytest.raises(ValueError, match=message):
            read_utterances(write_folder(tmp_path, ["tone.wav\tone\t"], sound))


def test_channels_and_rates_become_one(tmp_path):
    time = np.arange(44_100) / 44_100
    left = np.sin(2 * np.pi * 500 * time) * 2**30
    stereo = np.stack([left, np.zeros_like(left)], -1).astype(np.int32)
    wavfile.write(tmp_path / "a.wav", 44_100, stereo)
    (tmp_path / "t.tsv").write_text("file\ttext\na.wav\tOne, two!\n")
    (each,) = read_utterances(tmp_path / "t.tsv")
    expected = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE) * 2**13
    assert each.words == ("one", "two")
    np.testing.assert_allclose(each.sound[400:-400], expected[400:-400], atol=40)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"words=\(5, 3\) must be two numbers"):
        Speech(words=(5, 3))


@pytest.mark.skipif(SPEAKS, reason="the extra `speech` is installed")
def test_a_missing_synthesizer_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'attn-jax\[speech\]'"):
        Speech(train=1, validation=1, test=1).load()


@needs_synthesizer
def test_the_synthesizer_says_what_is_recorded(recorded):
    with Speaker() as speaker:
        spoken = speaker.speak("three seven two", voice="en-us+f3", rate=170, pitch=50)
        np.testing.assert_array_equal(np.pad(spoken.sound, (RATE // 10, 0)), recorded[0].sound)
        np.testing.assert_allclose(np.add(spoken.times, 0.1), recorded[0].times, atol=1e-3)
        # It knows no such variant, and says nothing of it.
        with pytest.raises(ValueError, match=r"en-us\+no and en-us\+none are equal sample by"):
            require_different(["en-us+f3", "en-us+no", "en-us+none"])
        with pytest.raises(ValueError, match="no voice 'en-gb"):
            speaker.speak("three", voice="en-gb+f3", rate=170, pitch=50)
        speaker._process.kill()
        with pytest.raises(RuntimeError, match="ended with code -9 at 'three' in the voice en"):
            speaker.speak("three", voice="en", rate=170, pitch=50)


@needs_synthesizer
def test_utterances_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path))
    sizes = {"train": 7, "validation": 2, "test": 3, "symbols": "letters"}
    spoken = [Speech(**sizes).utterances(split) for split in ("train", "test")]
    assert "Spoke 12 utterances" in capsys.readouterr().out
    kept = [Speech(**sizes).utterances(split) for split in ("train", "test")]
    assert not capsys.readouterr().out
    for first, second in zip(itertools.chain(*spoken), itertools.chain(*kept), strict=True):
        np.testing.assert_array_equal(first.sound, second.sound)
        assert first[1:] == second[1:]
        assert first.times[-1] <= len(first.sound) / RATE
