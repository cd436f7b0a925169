"""What CLIP adds: two encoders, called together or alone, and the token that ends a text."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_arrays, golden_config, write_folder, write_golden

from attn_jax import pretrained
from attn_jax.hooks import capture
from attn_jax.pretrained import PretrainedError

WORDS = [f"w{number}" for number in range(2, 50)]
PHOTO = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
INPUTS = {name: jnp.asarray(x) for name, x in golden_arrays("clip", "input").items()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pretrained.load(write_golden("clip", tmp_path_factory.mktemp("clip"), WORDS))


def test_it_reads_texts_images_or_both(model):
    texts = ["w5 w7 w49", "w9 w49"]
    both = model.encode(texts=texts, images=[PHOTO])
    assert set(both) == {"images", "tokens", "key_mask"}
    np.testing.assert_array_equal(both["tokens"], [[5, 7, 49], [9, 49, 1]])
    assert both["images"].shape == (1, 12, 12, 3)
    assert model(both).shape == (1, 2)
    assert set(model.encode(texts)) == {"tokens", "key_mask"}
    assert set(model.encode(images=[PHOTO])) == {"images"}
    assert model.tokenizer.limit == 12
    with pytest.raises(PretrainedError, match="a list of texts, a list of images or both"):
        model.encode()


def test_the_logits_are_the_scaled_cosines_of_the_vectors(model):
    logits, captured = jax.jit(capture(model, ["*_vector", "logits"]))(INPUTS)
    images, texts = captured["image_vector"], captured["text_vector"]
    scale = np.exp(golden_arrays("clip", "tensor")["logit_scale"])
    np.testing.assert_allclose(logits, scale * np.asarray(images) @ np.asarray(texts).T, rtol=1e-5)
    for name, vectors in (("images", images), ("tokens", texts)):
        rest = ("key_mask",) if name == "tokens" else ()
        alone = model({each: INPUTS[each] for each in (name, *rest)})
        np.testing.assert_allclose(alone, vectors, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, rtol=1e-6)


def test_an_early_configuration_ends_a_text_at_its_largest_number(model, tmp_path):
    config = golden_config("clip")
    early = config | {"text_config": config["text_config"] | {"eos_token_id": 2}}
    tensors = golden_arrays("clip", "tensor")
    buffer = {"text_model.embeddings.position_ids": np.arange(12)[None]}
    opened = pretrained.load(write_folder(tmp_path / "early", early, tensors | buffer, WORDS))
    assert opened.model.text.end is None
    np.testing.assert_array_equal(opened(INPUTS), model(INPUTS))


def test_the_settings_of_images_in_the_file_of_transformers_5(model, tmp_path):
    folder = write_golden("clip", tmp_path, WORDS)
    settings = folder / "preprocessor_config.json"
    whole = folder / "processor_config.json"
    whole.write_text(f'{{"image_processor": {settings.read_text()}}}')
    settings.unlink()
    assert pretrained.load(folder).reader.images == model.reader.images
    whole.write_text('{"image_processor": 3}')
    with pytest.raises(PretrainedError, match=r"processor_config.json holds int, not an object"):
        pretrained.load(folder)
    whole.unlink()
    with pytest.raises(PretrainedError, match=r"has no preprocessor_config.json"):
        pretrained.load(folder)


def test_neither_images_nor_texts(model):
    with pytest.raises(ValueError, match="neither images nor tokens; give one or both"):
        model({})
