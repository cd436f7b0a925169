"""The sha256 of the pairs of each bitext, as they are extracted from its pinned wheel."""

import hashlib
import json
from collections.abc import Sequence

__all__ = ["BITEXT_DIGESTS", "check_pairs"]

BITEXT_DIGESTS = {
    "homeassistant": {
        "af": "8fab5fc144702204c0a188f40d456268eb7570182d0bf4b75791cd6c289b265b",
        "ar": "a1967b923689e2e90bfa26c8a07f317a25397200f98cdf61d08ef3e6a56ba1b1",
        "bg": "a981f6e310269407df5a538f63c7804693caef9d4b1aa07f86c9e9e9bff6dc5a",
        "bn": "d821f262e1b782aa8242010ed12c7510f876291b8b44b663d08d63edd7ef62b1",
        "bs": "f002cec5480777de361fcb63039bb3ead0e43bf78e40890e39621e233623a927",
        "ca": "55f931f58ac06768afaef24d78cad6a92ab58b3e017d2f9d8e09f985aa8449ed",
        "cs": "c69fbe22d14c6df7673a3325c9e4b5bf36bec483f893f81017cb9acfd99d3346",
        "cy": "129f3b947f48f3109bdd1ba1aa1bc4f3f40a355769424f556fbfc49044fc0531",
        "da": "b629781e0837021a7aeb900432a6a3b528913f5b80e114c5d32a436d197c17b2",
        "de": "e11f577c28e1b9a060b26c73bcdd5197b551fe0fa1a7854287b2c2fcd0ed0526",
        "el": "5e130de8dfcae55477af894479d8996e765f7be889c0b15e2b652f9847db03c6",
        "en-GB": "d43083d80d777c2c5d50febb6b5459ae32bd20c83a41eca36b33bf69b3102043",
        "eo": "abd61868177d69a3b345126b0fe78cba6a402fbd48f1e2f0a454cd9579999c70",
        "es": "b14bdaa2bcf3260db80f54ccf66db4e996ef5aa0146f1fabecea809e1413b54e",
        "es-419": "f9dd08283c6746875fe02586d69a5f36543f1948c744fdc186855315d3d8086b",
        "et": "babeab5c294e3b21d469df0aa587584ccd0989e9de095b766876154ee30a8b8a",
        "eu": "74ad57e207f2423913f7af0a71f41c4272923e2383b362196a5eaf3ddce52382",
        "fa": "46847432ab88cbc9cc45489755359376e44a240c1af3f46341d4826036c8f4a8",
        "fi": "022d3afaab3e97e732e4d8408c93131003318ac97f49ec77c34d9b1db1f9db50",
        "fr": "f4ee826ece65a6507bb9eee68292df87249ab233288ae1a60f8ffb3a342e628e",
        "fy": "9bb0859993dcdf74253b633a3a2c1e0ce2e026cd0041667c8f149e5fa82e62d8",
        "ga": "15572dae6d2777a2a53aee47c704e58e4522fa10f89b0282a2e2f562d1a73569",
        "gl": "b8d4db9f8483d26dfabfd8efcda3bec3cf3af416812d6a1d6565dfd8bc3eaddc",
        "gsw": "fa10ead36f8eae4b69d7d829b8e2cc5fbf27a4d9bcd9e0600b2bae0b28039539",
        "he": "1d444396e635ab7d499adbc6141561013ec530c0d5ef09ad9f85696180f14893",
        "hi": "bf20211ba941365549e7dbec6a1bccdd621ccf2440d91f496f29f7cf1ff68fb9",
        "hr": "d84e2c5a055af1590952d7a5e09c352cc5a4e41fce3535855db61d3e8103c343",
        "hu": "16a5b03881f0b0efb4abe49ab59a41dfcea2138bf75036be5ce9a7b8da00bee2",
        "hy": "0cdc3007c7d1df0bc2954a9fdc52cdeac65c7e0bd0170967ca9334065ab7b54d",
        "id": "927dd0dbab6b94adc4509d221c5349ac6d13dc703266ba4b85539c56519cc966",
        "is": "65c758ae0d2941c6e2e4d75adcee71db67c7d0ce42ba64cd06bb45a4b321a533",
        "it": "e7302a32b1297bce075aecdc9b73471f71471616bc7c0b34812fe2e390e270a9",
        "ja": "0dc02a1c558da8d9d5d400e5a5d89404d54f083fce19f28a6329b830f6c743e8",
        "ka": "7aa2773db734b47c644de7948cc3efd5b417d2975b84a24b62ba9915cc17c551",
        "ko": "87d38d449430c2173f89394adeb08db69f6393aeafb9961a76ab5ed6c276a952",
        "lb": "e29f63df9ffc499e22143e93b199996c33d3386cf88b1b8fd9d98701eadab03e",
        "lt": "7dbc72d30e06b5258d7ef373ed594f29aae6483f3ed527c1a531761785740cf0",
        "lv": "846519b34ba7abcfce111f8b1b954602507ff92cb325d07f3b056e8575625ea2",
        "mk": "b40e0f7ae8a5360fa3f967777552892f1d806f947339b44864d806381ded09ed",
        "nb": "6b977a26b0fdff48b4655cc0ec1a86bc8326c52c67e2023259fd6785a15d3721",
        "ne": "eb9c62fab2c3f8d37cb941811ae2698ef7411acb6542d5a8f74726c4e8c5de52",
        "nl": "8685507a779fb2b7f321f7396d84dc9107eb4fc3d356d93303bff0d6b1e1f39c",
        "nn": "5c82f3c665d2352b4fbeb33b35091f5a264e41852cdafee744213b3d66aee0e1",
        "pl": "5878624ba23817cc67d9bc51e9587718c01c8c2a03bb1018a14cca62eb5df40e",
        "pt": "c75abdf6ed34d064451435a112d71bc2fc7145ddde5040c8cf515221f7811506",
        "pt-BR": "de57e48aa512441987e55297ae7ff1e3c6e76eaee5d07edc9b105ae02a506c14",
        "ro": "e6fa425ac98ef2cc2d6e87214e1133659122a7592c8c6f77e1161462fc1276fd",
        "ru": "75ca2301b5431ec2668777f20fdc4e531adce5884ac6f59176d109529680490c",
        "sk": "e4403ec174659ccc115ab27c3cbc5a63fba26bd678e15e53a64c58a682eb3331",
        "sl": "2749e5cad6977dd6799fe87e6fc888a11e9bc69e7d1885d5f8d45d258be65807",
        "sq": "6ff61e7357062642c79035a296a75ee1a76ce780c8c69895ef344f381005c786",
        "sr": "bd467959b32b860c0101f9d19f480c47af604ae53abbcfbda6d39161ea5efb5c",
        "sr-Latn": "45aa501f703a6f1f5c5e463491e2e84d3164370606d81bf79d3a18d241fd81da",
        "sv": "bcc5992e3d3535bd33262a639d64e22ab0a70f26af7d6f2397188c7511090c8f",
        "ta": "b9ee868da8d015aa0858719be4f46f73c53e006a2cb7081c3418d0243300236b",
        "th": "f7840342af31ad869fad3f4b58abe4069953a90035c85e141fffc561065c1131",
        "tr": "1bed345625b08c3d2efc433fe9a80aa2c294304129908768a1feee5604960a29",
        "uk": "a70d7780e5d7d9573f6d61adf01b36b78020e0fe0cf1321d17f83c265813d8f2",
        "vi": "65c31b87e4cfa2dab0e58f1ab6635859e4c9459180e6f91ca255cacc293d8152",
        "zh-Hans": "aa396391988da3cd4ffae0810b4c3c17720f8c0f7956b5cda991266dc098759e",
        "zh-Hant": "a3f719bcb1d5d584555f15b07db60467b9de81887bc948afdbab4e530275c1be",
    },
    "jupyterlab": {
        "fr": "80bd686174eb865e01201b6f4d66737d869dd2a9d6026b1b1a62449c94a802f0",
        "de": "eecfe9e4cadb494eb6bc483f62b033f400072f7d092a2de5deb6da8bf070471a",
        "es": "3de2efe2d566cb2ea26285ff9fda40fae177e038cb87ade2b94dca328dc65373",
        "zh-Hans": "f955a36953a93eb57a90c32a974531a5ed492603b821c752602bb7675456a25a",
    },
}
"""The digest of each language of each corpus. A new version of a wheel needs new ones."""


def check_pairs(pairs: Sequence[Sequence[object]], corpus: str, language: str, source: str) -> None:
    """Refuse anything but the pairs of a bitext, in their order.

    Args:
        pairs: The source and the target of each pair.
        corpus: The name of the corpus.
        language: The language of the targets.
        source: The name of the pairs in errors.

    Raises:
        ValueError: If a text differs, or a pair is missing, new or in another place.
    """
    digest = hashlib.sha256(json.dumps(pairs, default=repr).encode()).hexdigest()
    expected = BITEXT_DIGESTS[corpus][language]
    if digest != expected:
        raise ValueError(
            f"{source} does not hold the pairs of {corpus} in {language}: their sha256 is "
            f"{digest}, expected {expected}."
        )
