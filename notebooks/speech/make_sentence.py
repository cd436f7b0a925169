"""Write a spoken sentence, and when each of its words begins.

The voice is that of eSpeak NG, a program under GPL-3 that is not part of this project. Only this
script needs it; install it in an environment of its own:

    python -m venv /path/to/voice && /path/to/voice/bin/pip install espeakng-loader==0.2.4
    /path/to/voice/bin/python notebooks/speech/make_sentence.py
"""

import ctypes
import json
import wave
from pathlib import Path

import espeakng_loader

FOLDER = Path(__file__).parent
SENTENCE = "After the storm, the children found a small boat near the beach."
VOICE, WORDS_PER_MINUTE = "en-gb", 155

_WORD, _UTF8, _RATE_PARAMETER = 1, 1, 1


class Event(ctypes.Structure):
    """An event of the voice, as `speak_lib.h` declares it."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
)


def speak(sentence, voice, words_per_minute):
    """Return the samples as bytes, their number in a second, and each word with its seconds."""
    library = ctypes.cdll.LoadLibrary(espeakng_loader.get_library_path())
    data = str(Path(espeakng_loader.get_data_path()).parent).encode()
    rate = library.espeak_Initialize(1, 0, data, 0)  # 1: hand over the sound, play nothing
    samples, words = bytearray(), []

    def receive(sound, count, events):
        if sound and count:
            samples.extend(ctypes.string_at(sound, 2 * count))
        i = 0
        while events[i].type:
            event = events[i]
            if event.type == _WORD:
                start = event.text_position - 1
                word = sentence[start : start + event.length]
                words.append({"word": word, "start": event.audio_position / 1000})
            i += 1
        return 0

    callback = Callback(receive)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(voice.encode())
    library.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
    text = sentence.encode()
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return bytes(samples), rate, words


def main():
    """Write `sentence.wav` and `sentence.json`."""
    samples, rate, words = speak(SENTENCE, VOICE, WORDS_PER_MINUTE)
    with wave.open(str(FOLDER / "sentence.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    content = {
        "text": SENTENCE,
        "origin": f"synthesized by eSpeak NG 1.52, voice {VOICE}; written by make_sentence.py",
        "license": "as this project: the sentence is ours, and eSpeak's license is not its voice's",
        "seconds": len(samples) / 2 / rate,
        "words": words,
    }
    (FOLDER / "sentence.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
