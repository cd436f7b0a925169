"""A program that speaks: it alone loads the library of eSpeak NG, so a crash ends no other.

It reads requests from the standard input, a line of JSON each, `{"text", "voice", "rate",
"pitch"}`. To each it answers with a line of JSON, `{"samples", "words"}`, the number of samples and
the milliseconds at which words begin, and with the samples, 16 bits each; or with `{"error"}`.
"""

import ctypes
import json
import sys
from typing import Any

_SYNCHRONOUS, _UTF8, _BY_CHARACTER = 2, 1, 1
_RATE, _PITCH = 1, 3
_END_OF_LIST, _WORD = 0, 1


class _Event(ctypes.Structure):
    """An event of the library: its fields up to the last one that matters, and room for more."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_uint64),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Library:
    """The library, ready to speak."""

    def __init__(self) -> None:
        import espeakng_loader  # pyright: ignore[reportMissingImports]

        self._library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path())
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0)
        self._sound, self._words = bytearray(), []
        self._callback = _CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples:
            self._sound += ctypes.string_at(samples, 2 * count)
        place = 0
        while events[place].type != _END_OF_LIST:
            if events[place].type == _WORD:
                self._words.append(events[place].audio_position)
            place += 1
        return 0

    def speak(self, *, text: str, voice: str, rate: int, pitch: int) -> tuple[bytes, list[int]]:
        """Return the samples, and when each word begins.

        Raises:
            ValueError: If the library has no such voice, or fails.
        """
        # A name that it does not know would leave the last voice in place.
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        self._library.espeak_SetParameter(_RATE, rate, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        # The library seeds itself by the clock.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        self._sound, self._words = bytearray(), []
        content = text.encode()
        code = self._library.espeak_Synth(
            content, len(content) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None
        )
        if code:
            raise ValueError(f"eSpeak NG answered {code} to {text!r}")
        return bytes(self._sound), self._words


def main() -> None:
    """Answer requests until the input ends."""
    library = _Library()
    print(json.dumps({"rate": library.rate}), flush=True)
    for line in sys.stdin:
        try:
            sound, words = library.speak(**json.loads(line))
            answer, content = {"samples": len(sound) // 2, "words": words}, sound
        except ValueError as error:
            answer, content = {"error": str(error)}, b""
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
