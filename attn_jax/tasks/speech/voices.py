"""The voices of eSpeak NG that speak in each split."""

from collections.abc import Sequence

import numpy as np

from attn_jax.tasks.speech.speaker import Speaker

__all__ = ["ACCENTS", "NEW_ACCENT", "VARIANTS", "check_voices", "draw_voice"]

ACCENTS = ("en", "en-us", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc")
"""The accents of training. `en` is British; eSpeak NG takes no variants of the name `en-gb`."""

NEW_ACCENT = "en-gb-scotland"
"""The accent of half of the test utterances, which training never hears."""

_TRAIN = """
    Alex Alicia Andrea Andy Denis Diogo Gene Gene2 Henrique Hugo Lee Marco Mario Michael Nguyen adam
    anika antonio aunty belinda benjamin boris david ed edward edward2 f1 f3 f4 grandma grandpa
    gustave iven iven2 iven3 iven4 john m1 m2 m4 m5 m6 m8 marcelo max michel miguel norbert pedro
    quincy rob robert sandro zac
"""
_VALIDATION = "Jacky f5 ian kaukovalta shelby"
_TEST = "Annie Mike caleb f2 linda m3 m7 mike2 pablo paul steph steph2 steph3 travis victor"
VARIANTS = {
    split: tuple(names.split())
    for split, names in (("train", _TRAIN), ("validation", _VALIDATION), ("test", _TEST))
}
"""The variants of each split: other speakers, of whom no two splits share one."""

_SENTENCE = "three ay seven w"


def draw_voice(split: str, rng: np.random.Generator) -> str:
    """Draw a voice of a split, the new accent for every second test voice."""
    accent = ACCENTS[int(rng.integers(len(ACCENTS)))]
    if split == "test" and rng.random() < 0.5:
        accent = NEW_ACCENT
    return f"{accent}+{VARIANTS[split][int(rng.integers(len(VARIANTS[split])))]}"


def check_voices() -> None:
    """Check that no two voices sound alike, as if the synthesizer did not know one of them.

    Raises:
        ValueError: If two are equal sample by sample, with their names.
    """
    variants = [variant for split in VARIANTS.values() for variant in split]
    require_different([f"{ACCENTS[0]}+{variant}" for variant in variants])
    require_different([f"{accent}+f1" for accent in (*ACCENTS, NEW_ACCENT)])


def require_different(voices: Sequence[str]) -> None:
    """Refuse voices of which two are equal sample by sample.

    Each speaks in a process of its own, because a voice sounds a little different after another.
    """
    names: dict[bytes, str] = {}
    for voice in voices:
        with Speaker() as speaker:
            sound = speaker.speak(_SENTENCE, voice=voice, rate=160, pitch=50).sound.tobytes()
        if sound in names:
            raise ValueError(
                f"the voices {names[sound]} and {voice} are equal sample by sample, so eSpeak NG "
                "does not know one of them; install the release that the extra `speech` names."
            )
        names[sound] = voice
