"""Tags of languages as files have them: ``de``, ``deu``, ``ger`` and ``de-AT`` are one language."""

from __future__ import annotations

#: ISO 639-1 and the three-letter codes of ISO 639-2 that do not begin with it or that come in two kinds.
CODES = {
    code: frozenset(others.split())
    for code, others in (
        ("ar", "ara"), ("bg", "bul"), ("bn", "ben"), ("ca", "cat"), ("cs", "ces cze"), ("cy", "cym wel"),
        ("da", "dan"), ("de", "deu ger"), ("el", "ell gre"), ("en", "eng"), ("es", "spa"), ("et", "est"),
        ("eu", "eus baq"), ("fa", "fas per"), ("fi", "fin"), ("fr", "fra fre"), ("gl", "glg"), ("gu", "guj"),
        ("he", "heb"), ("hi", "hin"), ("hr", "hrv"), ("hu", "hun"), ("hy", "hye arm"), ("id", "ind"),
        ("is", "isl ice"), ("it", "ita"), ("ja", "jpn"), ("ka", "kat geo"), ("kk", "kaz"), ("kn", "kan"),
        ("ko", "kor"), ("lt", "lit"), ("lv", "lav"), ("mk", "mkd mac"), ("ml", "mal"), ("mr", "mar"),
        ("ms", "msa may"), ("nl", "nld dut"), ("no", "nor nob nno"), ("pa", "pan"), ("pl", "pol"), ("pt", "por"),
        ("ro", "ron rum"), ("ru", "rus"), ("sk", "slk slo"), ("sl", "slv"), ("sq", "sqi alb"), ("sr", "srp"),
        ("sv", "swe"), ("sw", "swa"), ("ta", "tam"), ("te", "tel"), ("th", "tha"), ("tl", "tgl fil"),
        ("tr", "tur"), ("uk", "ukr"), ("ur", "urd"), ("vi", "vie"), ("zh", "zho chi cmn yue"),
    )
}  # fmt: skip
TWO_LETTERS = {other: code for code, others in CODES.items() for other in others}


def same_language(one: str, other: str) -> bool:
    """Whether two tags name one language, whatever the country or the standard; empty ones name none."""
    codes = [tag.strip().casefold().replace("_", "-").split("-")[0] for tag in (one, other)]
    first, second = (TWO_LETTERS.get(code, code) for code in codes)
    return first == second != ""
