"""Sounds for a speech recognizer: files, rates, prompts, and the line that says what is wrong."""

import dataclasses
import json
import wave

import jax
import numpy as np
import pytest
from pretrained_folder import write_golden

from attn_jax import pretrained
from attn_jax.pretrained import PretrainedError
from attn_jax.pretrained.reading.sounds import read_sound
from attn_jax.pretrained.reading.waves import read_wave, resample

RNG = np.random.default_rng(0)
SPECIAL = ["<|startoftranscript|>", "<|notimestamps|>", "<|en|>", "<|de|>", "<|transcribe|>"]
WORDS = [*SPECIAL, "<|translate|>", "the", "cat", "sat"]
START, NO_TIMES, EN, DE, TRANSCRIBE, TRANSLATE, THE, CAT, SAT = range(2, 11)
# One second is the 22 frames that the tiny model takes.
PREPROCESSING = {"sampling_rate": 220, "hop_length": 10, "n_fft": 40, "chunk_length": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_golden("whisper", tmp_path_factory.mktemp("whisper"), WORDS)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return pretrained.load(folder)


def write_wave(path, integers, rate=220, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(integers)
    return path


def tone(rate, seconds=0.5, hertz=440):
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def test_the_model_takes_what_a_sound_and_a_text_become(model):
    sounds = [tone(220, 0.3, 50), tone(220, 1, 20)]
    inputs = model.encode(sounds, ["the cat", "sat"], sampling_rate=220)
    assert inputs["mel"].shape == (2, 5, 22)
    end = model.config["eos_token_id"]
    expected = [[START, NO_TIMES, THE, CAT], [START, NO_TIMES, SAT, end]]
    np.testing.assert_array_equal(inputs["decoder_tokens"], expected)
    assert jax.eval_shape(model, inputs).shape == (2, 4, 50)
    with pytest.raises(PretrainedError, match=r"spectrogram has 20 frames, and the model takes 22"):
        model({**inputs, "mel": inputs["mel"][..., :20]})


def test_a_model_of_several_languages_is_told_which(model):
    reader = dataclasses.replace(model.reader, generation={"is_multilingual": True})
    sounds = [tone(220)]
    tokens = reader.encode(sounds, sampling_rate=220)["decoder_tokens"]
    np.testing.assert_array_equal(tokens, [[START, EN, TRANSCRIBE, NO_TIMES]])
    tokens = reader.encode(sounds, sampling_rate=220, language="de", task="translate")
    np.testing.assert_array_equal(tokens["decoder_tokens"], [[START, DE, TRANSLATE, NO_TIMES]])
    with pytest.raises(PretrainedError, match=r"tokenizer.json has no token <\|tlh\|>"):
        reader.encode(sounds, sampling_rate=220, language="tlh")
    with pytest.raises(PretrainedError, match="English alone; it cannot transcribe 'de'"):
        model.encode(sounds, sampling_rate=220, language="de")


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_files_of_every_width(width, tmp_path):
    numbers = RNG.integers(-(2 ** (8 * width - 1)), 2 ** (8 * width - 1), (7, 2))
    stored = numbers + 128 if width == 1 else numbers
    # Eight little-endian bytes, of which the file has the lowest.
    content = stored.astype("<i8").view(np.uint8).reshape(14, 8)[:, :width].tobytes()
    samples, rate = read_wave(write_wave(tmp_path / "a.wav", content, 8000, 2, width))
    assert (rate, samples.dtype) == (8000, np.float32)
    np.testing.assert_allclose(samples, numbers.mean(1) / 2 ** (8 * width - 1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_tone_at_another_rate_is_the_same_tone(rate):
    middle = slice(800, -800)  # the ends are those of a tone that starts and stops at once
    resampled = resample(tone(rate), rate, 16_000)
    assert len(resampled) == 8_000
    np.testing.assert_allclose(resampled[middle], tone(16_000)[middle], rtol=0, atol=2e-3)


def test_a_tone_that_another_rate_cannot_hold_is_left_out():
    assert np.abs(resample(tone(48_000, hertz=12_000), 48_000, 16_000)[800:-800]).max() < 0.01


def test_a_file_is_the_array_that_it_holds(model, tmp_path):
    samples = np.round(tone(220, 0.5, 30) * 32767).astype("<i2")
    path = write_wave(tmp_path / "a.wav", samples.tobytes())
    from_file = model.encode([path, str(path)])["mel"]
    from_array = model.encode([samples / 32768], sampling_rate=220)["mel"]
    np.testing.assert_array_equal(from_file, np.repeat(from_array, 2, 0))


def damaged(folder, content):
    path = folder / "a.wav"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"",
            "a.wav is no WAV file of integers .*; save it as WAV of 16-bit integers, for example",
        ),
        (b"ID3 and then some music", "a.wav is no WAV file of integers"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "a.wav is no WAV file of integers"),
    ],
)
def test_files_that_are_no_sound(content, message, tmp_path):
    with pytest.raises(PretrainedError, match=message) as error:
        read_sound(damaged(tmp_path, content))
    assert "\n" not in str(error.value)


def test_half_a_file_and_headers_that_are_not_read(tmp_path):
    path = write_wave(tmp_path / "a.wav", bytes(400))
    content = bytearray(path.read_bytes())
    with pytest.raises(PretrainedError, match="header says 200 samples, and 150 are there"):
        read_wave(damaged(tmp_path, bytes(content[:-100])))
    for place, number, message in [
        (20, 3, "no WAV file of integers"),  # the code of floats
        (24, 0, "16 bits, 0 a second"),
        (34, 64, "64 bits, 220 a second"),
    ]:
        other = bytes([*content[:place], number, *content[place + 1 :]])
        with pytest.raises(PretrainedError, match=message):
            read_wave(damaged(tmp_path, other))


LONG = tone(220, 1.5)


@pytest.mark.parametrize(
    ("sounds", "options", "message"),
    [
        ([], {}, "takes a list of sounds"),
        ("a.wav", {}, "takes a list of sounds, not 'a.wav'"),
        ([tone(220)], {}, "sound 0 is an array with sampling_rate=None; say how many"),
        ([tone(220), np.zeros(0)], {"sampling_rate": 220}, "sound 1 is empty"),
        ([np.array([0.1, np.nan])], {"sampling_rate": 220}, "samples that are not finite"),
        ([np.zeros((2, 9))], {"sampling_rate": 220}, r"sound 0 is an array \(2, 9\) of float64"),
        ([np.zeros(9, int)], {"sampling_rate": 220}, "of int64; expected .* floats"),
        ([LONG], {"sampling_rate": 220}, "1.5 s long, and the model hears 1 s at a time; cut it"),
        ([tone(220)], {"sampling_rate": 220, "text": "the"}, "a text for each of the 1 sounds"),
        ([tone(220)], {"sampling_rate": 220, "text": [" "]}, "text 0 is empty"),
        ([tone(220)], {"sampling_rate": 220, "text": ["cat " * 19]}, "has 21 tokens .* takes 20"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sounds_that_a_model_cannot_take(sounds, options, message, model):
    with pytest.raises(PretrainedError, match=message):
        model.encode(sounds, **options)
