"""Speech on tones whose times are known: it learns a batch, tells when, and its page is written."""

import dataclasses
import importlib.util
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.io import wavfile

from attn_jax.hooks import capture, hook_points
from attn_jax.models import ChunkwiseRecognizer, CtcRecognizer, JointRecognizer, SpeechRecognizer
from attn_jax.models.speech.chunkwise import ChunkwiseDecoder
from attn_jax.models.speech.encoder import SpeechEncoder
from attn_jax.models.speech.recognizer import ListeningDecoder
from attn_jax.nn import LocationSensitiveAttention, MochaAttention
from attn_jax.tasks import Speech
from experiments.configs.speech_attention import experiment as attending
from experiments.configs.speech_ctc import experiment as ctc
from experiments.configs.speech_joint import experiment as joint
from experiments.configs.speech_monotonic import experiment as chunkwise
from experiments.speech import hearing
from experiments.speech.attention import OWN, said_at
from experiments.speech.ctc_path import best_words, word_peaks
from experiments.truth.ways import raw_attention

PITCHES = {"low": 300, "middle": 900, "high": 2700}
ENCODER = SpeechEncoder(features=24, dilations=(1,), dropout_rate=0.0)
HAS_JIWER = importlib.util.find_spec("jiwer") is not None


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Utterances of three tones each, whose times are written down when they are made."""
    folder, rng, rate = tmp_path_factory.mktemp("tones"), np.random.default_rng(0), 16_000
    rows = ["file\ttext\ttimes"]
    for number in range(20):
        words = rng.choice(list(PITCHES), 3)
        times = np.cumsum([rng.uniform(0.05, 0.2), *rng.uniform(0.2, 0.3, 3)]).round(3)
        second = np.arange(rate * 1.2) / rate
        sound = np.zeros_like(second)
        for word, (begin, end) in zip(words, itertools.pairwise(times), strict=True):
            now = (second >= begin) & (second < end)
            sound[now] = 0.3 * np.sin(2 * np.pi * PITCHES[word] * second[now])
        wavfile.write(folder / f"{number}.wav", rate, (sound * 2**15).astype(np.int16))
        rows.append(f"{number}.wav\t{' '.join(words)}\t{' '.join(map(str, times))}")
    (folder / "table.tsv").write_text("\n".join(rows) + "\n")
    return Speech(path=folder / "table.tsv")


def fitted(experiment, steps):
    """Train on one batch until its loss is small."""
    batch = jax.jit(experiment.task.prepare)(experiment.task.load()["train"][0])
    params = jax.jit(experiment.init)(jax.random.key(0), experiment.example())
    optimizer = optax.adam(1.5e-2)

    @jax.jit
    def step(params, state):
        def objective(params):
            return experiment.loss(experiment.apply(params, batch), batch)

        gradients, metrics = jax.grad(objective, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, metrics["loss"]

    state, loss = optimizer.init(params), (1.0, 1.0)
    for _ in range(steps):
        params, state, loss = step(params, state)
    assert loss[0] / loss[1] < 0.1
    return params


@pytest.fixture(scope="module")
def tiny_ctc(task):
    experiment = dataclasses.replace(ctc, model=CtcRecognizer(encoder=ENCODER), task=task)
    return experiment, fitted(experiment, 150)


@pytest.fixture(scope="module")
def tiny_attending(task):
    attention = LocationSensitiveAttention(hidden_dim=16, filter_width=5)
    decoder = ListeningDecoder(attention=attention, features=24)
    model = SpeechRecognizer(encoder=ENCODER, decoder=decoder, embedding_dim=8, dropout_rate=0.0)
    experiment = dataclasses.replace(attending, model=model, task=task)
    return experiment, fitted(experiment, 150)


@pytest.fixture(scope="module")
def heard_by_ctc(tiny_ctc):
    experiment, params = tiny_ctc
    return experiment.hear(params, experiment.task.load()["train"])


def test_ctc_hears_the_tones_while_they_sound(heard_by_ctc):
    assert [each.row for each in heard_by_ctc] == list(range(16))
    right = [each.tokens.tolist() == each.target.tolist() for each in heard_by_ctc]
    assert np.mean(right) > 0.9
    timing = hearing.timing_errors(heard_by_ctc)
    assert timing["inside"] > 0.9
    assert timing["median_ms"] < timing["even_ms"]


def test_the_page_of_utterances_is_written(heard_by_ctc, tiny_ctc, tmp_path):
    from experiments.report import speech as drawing

    experiment, _ = tiny_ctc
    prepared = experiment.task.prepare(experiment.task.load()["train"][0])
    mels = dict(enumerate(np.asarray(prepared["mel"])))
    vocabulary = experiment.task.tokenizer.vocabulary
    drawing.save_utterances(tmp_path, heard_by_ctc[:2], mels, vocabulary, "Tones.")
    row = {"test/wer": 0.0125, "test/wer_10_db": 0.5, "timing/median_ms": 17.2}
    drawing.save_errors(tmp_path, row | {"timing/inside": 0.875})
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"utterances.svg", "errors.csv", "timing.csv"} <= names
    errors = (tmp_path / "figures" / "errors.csv").read_text()
    assert "1.25 %" in errors
    assert "50.00 %" in errors


def test_attention_writes_the_tones(tiny_attending):
    experiment, params = tiny_attending
    heard = experiment.hear(params, experiment.task.load()["train"])
    assert np.mean([each.tokens.tolist() == each.target.tolist() for each in heard]) > 0.9
    for each in heard:
        np.testing.assert_allclose(each.map.sum(-1), 1, atol=1e-5)


def test_the_evidence_is_the_word_at_its_own_step(tiny_attending):
    experiment, params = tiny_attending
    task = dataclasses.replace(experiment.task, test=2)
    experiment = dataclasses.replace(experiment, task=task)
    evidence = experiment.evidence(params)
    *inputs, word = evidence.inputs
    logits = jax.jit(evidence.fn)(evidence.inputs)
    whole = jax.jit(experiment.sized_model().apply)({"params": params}, *inputs)
    rows = np.arange(len(word))
    np.testing.assert_allclose(logits, whole[rows, np.asarray(word)], atol=1e-4)
    assert evidence.target.tolist() == np.asarray(inputs[2])[rows, np.asarray(word)].tolist()
    names = {point.name for point in hook_points(evidence.fn)(evidence.inputs)}
    assert {OWN, "decoder.*.attention.weights"} <= names
    steps = "decoder.*.attention.weights"
    _, captured = jax.jit(capture(evidence.fn, [OWN, steps]))(evidence.inputs)
    own, each = captured[OWN], captured[steps]
    np.testing.assert_allclose(own, each[np.asarray(word), rows], atol=1e-6)
    # 0.2 to 0.3 s of a tone are five to eight states of 0.04 s.
    assert set(evidence.truth.sum(-1)) <= {5, 6, 7, 8}


def test_both_losses_are_mixed_and_the_branch_is_read(task):
    decoder = ListeningDecoder(attention=LocationSensitiveAttention(hidden_dim=8), features=8)
    model = JointRecognizer(encoder=ENCODER, decoder=decoder, embedding_dim=8)
    experiments = [
        dataclasses.replace(joint, model=model, task=task, ctc_weight=weight)
        for weight in (0.0, 0.25, 1.0)
    ]
    batch = jax.jit(task.prepare)(task.load()["test"][0])
    params = jax.jit(experiments[0].init)(jax.random.key(0), batch)
    outputs = jax.jit(experiments[0].apply)(params, batch)
    attention, mixed, ctc = (float(each.loss(outputs, batch)[0]) for each in experiments)
    assert mixed == pytest.approx(0.75 * attention + 0.25 * ctc)
    assert attention != pytest.approx(ctc)
    peaks = experiments[0].hear_branch(params, task.load()["test"])
    assert all(np.all(np.diff(each.times) > 0) for each in peaks)
    with pytest.raises(ValueError, match="ctc_weight=2 must be from 0 to 1"):
        dataclasses.replace(joint, ctc_weight=2)


def test_a_hard_reader_moves_forward_and_the_soft_one_is_asked(task):
    attention = MochaAttention(width=3, hidden_dim=8, offset=-2.0)
    decoder = ChunkwiseDecoder(attention=attention, features=8)
    model = ChunkwiseRecognizer(encoder=ENCODER, decoder=decoder, embedding_dim=8)
    experiment = dataclasses.replace(chunkwise, model=model, task=task)
    params = jax.jit(experiment.init)(jax.random.key(0), experiment.example())
    for each in experiment.hear(params, task.load()["test"]):
        stops = [np.flatnonzero(row).max(initial=-1) for row in each.map]
        stops = [stop for stop in stops if stop >= 0]
        assert stops == sorted(stops)
        assert set((each.map > 0).sum(-1)) <= {0, 1, 2, 3}
    evidence = experiment.evidence(params)
    *inputs, word = evidence.inputs
    whole = jax.jit(experiment.sized_model().apply)({"params": params}, *inputs)
    rows = np.arange(len(word))
    np.testing.assert_allclose(
        jax.jit(evidence.fn)(evidence.inputs), whole[rows, np.asarray(word)], atol=1e-5
    )
    assert evidence.query.tolist() == np.asarray(word).tolist()
    # It may pass all states, which a card must know.
    assert raw_attention(evidence).sum(-1).min() < 0.99
    assert not evidence.normalized


def test_the_truth_is_the_states_within_the_word_or_the_nearest():
    truth = said_at(np.array([0.05, 0.061]), np.array([0.11, 0.065]), 4, 0.04)
    assert truth.tolist() == [[False, True, True, False], [False, True, False, False]]


def test_the_path_of_ctc_merges_and_drops_blanks():
    path = np.eye(4)[[[0, 2, 2, 0, 2, 3, 3], [1, 1, 0, 0, 3, 3, 3]]]
    assert best_words(path, np.array([7, 4])).tolist() == [
        [2, 2, 3, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
    ]


def test_peaks_are_those_of_the_best_of_all_paths():
    rng = np.random.default_rng(0)
    for words in ([2, 2], [1, 3], [3], [1, 2, 1]):
        log = np.log(rng.dirichlet(np.ones(4), 6))
        best = max(
            (
                path
                for path in itertools.product(range(4), repeat=6)
                if [k for k, _ in itertools.groupby(path) if k] == words
            ),
            key=lambda path: sum(log[np.arange(6), list(path)]),
        )
        runs = [list(g) for k, g in itertools.groupby(range(6), key=lambda i: best[i]) if k]
        runs = [run for run in runs if best[run[0]]]
        expected = [max(run, key=lambda i: log[i, best[i]]) for run in runs]
        assert word_peaks(log, 6, np.array(words)).tolist() == expected


def test_timing_errors_by_hand():
    def utterance(times, truth, seconds):
        target = np.arange(len(times))
        parts = (np.array(times), np.array(truth), seconds, False)
        return hearing.Heard(0, target, target, np.zeros((len(times), 1)), *parts)

    heard = [utterance([0.5, 1.7], [0.0, 1.0, 2.0], 4.0), utterance([1.0], [], 3.0)]
    scores = hearing.timing_errors(heard)
    # The middles are 0.5 and 1.5; the even guess is 1.0 and 3.0.
    assert scores == pytest.approx(
        {"median_ms": 100.0, "mean_ms": 100.0, "inside": 1.0, "even_ms": 1000.0}
    )
    assert hearing.timing_errors(heard[1:]) == {}


def test_padding_changes_nothing():
    mel = jax.random.normal(jax.random.key(0), (1, 12, 5))
    frames = jnp.array([11])
    variables = jax.jit(ENCODER.init)(jax.random.key(1), mel, frames)
    encode = jax.jit(ENCODER.apply)
    states, exists = encode(variables, mel, frames)
    longer = jnp.pad(mel, ((0, 0), (0, 8), (0, 0)))
    more, _ = encode(variables, longer, frames)
    np.testing.assert_allclose(more[:, :3], states, atol=1e-6)
    np.testing.assert_array_equal(more[:, 3:], 0)
    assert exists.tolist() == [[True] * 3]
    with pytest.raises(ValueError, match="13 frames cannot be merged 4 by 4"):
        ENCODER.apply(variables, jnp.pad(mel, ((0, 0), (0, 1), (0, 0))), frames)


@pytest.mark.skipif(HAS_JIWER, reason="the extra `speech` is installed")
def test_a_missing_jiwer_is_named_before_training(tiny_ctc, tmp_path):
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'attn-jax\[speech\]'"):
        tiny_ctc[0].begin(tmp_path)


@pytest.mark.skipif(not HAS_JIWER, reason="needs the extra `speech`")
def test_the_last_row_has_word_error_rates(tiny_ctc, tmp_path):
    experiment, params = tiny_ctc
    experiment.begin(tmp_path)
    experiment.check(tmp_path)
    row = experiment.on_epoch(params, {"epoch": experiment.train.epochs}, tmp_path)
    assert row["validation/wer"] == pytest.approx(1 - row["validation/accuracy"])
    assert {"test/wer", "test/wer_10_db", "test/wer_30_db", "timing/even_ms"} <= set(row)
    # One of four words is wrong and one is left out.
    assert hearing.word_error_rate([["a", "b"], ["c", "d"]], [["a", "x"], ["c"]]) == 0.5
