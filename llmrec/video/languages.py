"""Tags of languages as files have them: ``de``, ``deu``, ``ger`` and ``de-AT`` are one language."""

from __future__ import annotations

import re

#: ISO 639-1, and what else is written for it: the three-letter codes of ISO 639-2, older or narrower codes.
CODES = {
    code: frozenset(others.split())
    for code, others in (
        ("ar", "ara"), ("bg", "bul"), ("bn", "ben"), ("ca", "cat"), ("cs", "ces cze"), ("cy", "cym wel"),
        ("da", "dan"), ("de", "deu ger"), ("el", "ell gre"), ("en", "eng"), ("es", "spa"), ("et", "est"),
        ("eu", "eus baq"), ("fa", "fas per"), ("fi", "fin"), ("fr", "fra fre"), ("gl", "glg"), ("gu", "guj"),
        ("he", "heb iw"), ("hi", "hin"), ("hr", "hrv"), ("hu", "hun"), ("hy", "hye arm"), ("id", "ind"),
        ("is", "isl ice"), ("it", "ita"), ("jw", "jav jv"), ("ja", "jpn"), ("ka", "kat geo"), ("kk", "kaz"),
        ("kn", "kan"),
        ("ko", "kor"), ("lt", "lit"), ("lv", "lav"), ("mk", "mkd mac"), ("ml", "mal"), ("mr", "mar"),
        ("ms", "msa may"), ("nl", "nld dut"), ("no", "nor nob nno nb"), ("pa", "pan"), ("pl", "pol"), ("pt", "por"),
        ("ro", "ron rum"), ("ru", "rus"), ("sk", "slk slo"), ("sl", "slv"), ("sq", "sqi alb"), ("sr", "srp"),
        ("sv", "swe"), ("sw", "swa"), ("ta", "tam"), ("te", "tel"), ("th", "tha"), ("tl", "tgl fil"),
        ("tr", "tur"), ("uk", "ukr"), ("ur", "urd"), ("vi", "vie"), ("zh", "zho chi cmn yue"),
    )
}  # fmt: skip
TWO_LETTERS = {other: code for code, others in CODES.items() for other in others}


_SPOKEN = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is"
    " it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk"
    " sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh"
)
#: What Whisper models can be told to hear.
SPOKEN = frozenset(_SPOKEN.split())


def code_of(tag: str) -> str:
    """The language of a tag in two letters where it has them ("de" of "deu" and "de-AT"); empty where it names none."""
    code = re.split(r"[-_]", tag.strip().casefold())[0]
    return TWO_LETTERS.get(code, code) if re.fullmatch("[a-z]{2,3}", code) else ""


def same_language(one: str, other: str) -> bool:
    """Whether two tags name one language, whatever the country or the standard; empty ones name none."""
    return code_of(one) == code_of(other) != ""
