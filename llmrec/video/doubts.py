"""What Whisper writes where nobody speaks, told from what was said: by its own doubts, by loops, by well-known phrases.

``"Thank you very much."`` of six people talking at once, ``"1-2-3-4-4-4-4-4…"`` of a humming fan.
"""

from __future__ import annotations

import re
from typing import Any

from llmrec.records import TimedText

#: What Whisper writes of music, noise and crowds.
PHANTOMS = frozenset(
    (
        *(
            "you",
            "bye",
            "bye bye",
            "so",
            "the",
            "oh",
            "thank you",
            "thank you very much",
            "thank you so much",
            "thanks",
        ),
        *("thanks for watching", "thank you for watching", "please subscribe", "see you next time", "i m sorry"),
        *("vielen dank", "danke", "tschüss", "merci", "merci d avoir regardé", "gracias", "gracias por ver el video"),
        *(
            "obrigado",
            "grazie",
            "ご視聴ありがとうございました",
            "谢谢观看",
            "谢谢大家",
            "продолжение следует",
            "시청해주셔서 감사합니다",
        ),
    )
)
CREDITS = re.compile(
    r"amara org|untertitel (?:im auftrag|der)|sous titr|subtitles by|субтитры (?:сделал|создавал)|字幕"
)


def believable(segment: Any) -> bool:
    """Whether a Whisper segment is speech by the model's own measures (thresholds of the Whisper paper, 2022)."""
    if not any(map(str.isalnum, segment.text)):
        return False
    if segment.avg_logprob < -1.0 or segment.compression_ratio > 2.4:
        return False
    if segment.no_speech_prob > 0.6 and segment.avg_logprob < -0.5:
        return False
    return not is_loop(segment.text)


def is_phantom(segment: Any, seconds: float) -> bool:
    """Whether a Whisper segment is what the model writes of voices that say nothing, or of a crowd.

    Either a phrase that stands under many videos of its training (Barański and others, ICASSP 2025, list them), unless
    the model is sure of it; or far fewer words than a voice says in that time, by a model that doubts them.

    Args:
        segment: As faster-whisper gives it.
        seconds: How long the voice spoke.
    """
    bare = " ".join(re.findall(r"\w+", segment.text.casefold()))
    doubted = segment.avg_logprob < -0.5 or segment.no_speech_prob > 0.3
    if CREDITS.search(bare) or (doubted and bare in PHANTOMS):
        return True
    # of scripts without spaces about three letters are a word
    said = max(len(bare.split()), sum(not char.isascii() for char in bare) / 6)
    return doubted and seconds >= 5.0 and said < 0.5 * seconds


def is_loop(text: str) -> bool:
    """Whether most of a text is one phrase said four or more times on end ("beep beep beep beep")."""
    bare = re.sub(r"[\W_]+", " ", text.casefold()).strip()
    longest = max((len(m.group(0)) for m in re.finditer(r"(.{1,60}?)\1{3,}", bare + " ")), default=0)
    return longest > 0.5 * (len(bare) + 1) and len(bare) > 12


def without_echoes(pieces: list[TimedText]) -> list[TimedText]:
    """Drop the third and further of equal texts that follow one another: a loop over segments."""
    kept: list[TimedText] = []
    for piece in pieces:
        if [p.text for p in kept[-2:]] != [piece.text] * 2:
            kept.append(piece)
    return kept
