"""The likeliest encoding of bytes that are not UTF-8.

A library needs pages of prose to tell cp1252 from cp1250; catalogs offer a few accents. So each candidate's text is
held first against the letters that its languages really use: ``"Crème brûlée"`` is all French in cp1252, but
``"Crčme brűlée"`` in cp1250 is neither Czech nor Hungarian. Only when no candidate explains the text does
charset-normalizer decide.
"""

from __future__ import annotations

import re

_WESTERN = (
    "äöüß", "àâæçéèêëîïôùûüœ", "áéíóúñüªº", "áâãàçéêíóôõúü", "åäöéæø", "àèéìíîòóùú", "áðéíóúýþæö", "àçèéíïòóúü",
)  # fmt: skip
#: The accented letters of each language; the more usual encoding first.
_LATIN = {
    "cp1252": _WESTERN,
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "cp1254": ("çğıöşüâîû",),
    "cp1257": ("āčēģīķļņšūž", "ąčęėįšųūž", "äõöüšž"),
    "cp850": _WESTERN,
    "mac_roman": _WESTERN,
}
#: The letters that make up most of a text in the language, and its script.
_SCRIPTS = {
    "cp1251": ("оеаинтсрвлкмдпу", "а-яё"),
    "koi8_r": ("оеаинтсрвлкмдпу", "а-яё"),
    "cp1253": ("αοιετσνηυρπκλμόάίέήώύς", "α-ωάέήίόύώϊϋΐΰ"),
    "cp1255": ("יוהלאתרשבמנםקדפחע", "א-ת"),
    "cp1256": ("اليمونرتبةعدسفهكحق", "ء-ي"),
    "cp874": ("านรอกเงมยลวดทสตะปบคหแจพชขใไโ่้็ีิุูืัำ์", "ก-๛"),
}
_KANA = "ぁ-ヿー、。・「」"
_HAN = (
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事"
    "用同行方机电水色黑白红蓝绿型号价格品牌名称产商保温杯壶不锈钢热包新款女男鞋衣裤手表高清防数码线音耳充器动运童装套盒加长短厚薄全面料原外内"
)
_HAN_TRADITIONAL = (
    "的一是不了人我在有他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她裡後小麼心多天而能好都然沒日於起還發成事"
    "用同行方機電水色黑白紅藍綠型號價格品牌名稱產商保溫杯壺鏽鋼熱包新款女男鞋衣褲手錶高清防數碼線音耳充器動運童裝套盒加長短厚薄全面料原外內"
)
_HANGUL = (
    "이다는의가에을를고하지도은한로기사자아리어나대시그인서수들정일안해여전보라주부스있과만장으성무선세상제마어원용면해구동신화"
    "색검정흰빨강파남녀용품명가격브랜드상품전기포트주전자블루투스이어폰충전케이스운동화티셔츠"
)
#: Encodings of two bytes a letter: the decoder, the letters that are usual, the bytes that begin its everyday letters.
_WIDE = {
    "cp932": ("cp932", _KANA, 0x88, 0x97),
    "euc_jp": ("euc_jp", _KANA, 0xB0, 0xCF),
    "gb18030": ("gb18030", _HAN, 0xB0, 0xD7),
    "big5": ("big5", _HAN_TRADITIONAL, 0xA4, 0xC6),
    "cp949": ("cp949", _HANGUL, 0xB0, 0xC8),
}
_MARKS = "€–—“”‘’„…•®™©°²³½¼¾×±µ·«»¿¡§´£¥\xa0"
_LETTER = re.compile(r"[^\W\d_]")
_SURE = 0.6
_SAMPLE = 64 << 10
MULTIBYTE = frozenset(_WIDE)
CANDIDATES = (*_LATIN, *_SCRIPTS, *_WIDE)


def guess_encoding(data: bytes) -> str:
    """The likeliest encoding of lines that are not UTF-8, a superset of ASCII; cp1252 when nothing fits."""
    sample = data[:_SAMPLE]
    if len(data) > _SAMPLE:
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    lines = sample.split(b"\n")
    scores = {name: _explained(lines, name) for name in CANDIDATES}
    best = max(scores, key=lambda name: scores[name])  # the first of equals: the more usual encoding
    return best if scores[best] >= _SURE else _by_library(sample)


def _explained(lines: list[bytes], name: str) -> float:
    """Share of the text beyond ASCII that the encoding's languages account for, 0 to 1."""
    texts = []
    for line in lines:
        try:
            texts.append(line.decode(name))
        except UnicodeDecodeError:
            continue
    return _usual("\n".join(texts), name) * len(texts) / len(lines)


def _usual(text: str, name: str) -> float:
    if name in _WIDE:
        return _wide(text, name)
    odd = [place for place, char in enumerate(text) if char > "\x7f"]
    if not odd:
        return 0.0
    marks = sum(0.9 for place in odd if text[place] in _MARKS and not _within(text, place))
    letters = [place for place in odd if text[place] not in _MARKS]
    if name in _LATIN:
        weights = [(text[place].lower(), _latin_weight(text, place)) for place in letters]
        of_language = [sum(weight for char, weight in weights if char in letters) for letters in _LATIN[name]]
        return (marks + max(of_language)) / len(odd)
    common, script = _SCRIPTS[name]
    member = re.compile(f"[{script}]")
    found = 0.0
    for place in letters:
        char, before, after = text[place].lower(), text[place - 1 : place], text[place + 1 : place + 2]
        if not _plain(before) and not _plain(after) and not (text[place].isupper() and before.islower()):
            lone = not before.isalpha() and not after.isalpha()
            found += 0.5 if lone else 1.0 if char in common else 0.3 if member.match(char) else 0.0
    return (marks + found) / len(odd)


def _wide(text: str, name: str) -> float:
    decoder, usual, first, last = _WIDE[name]
    member = re.compile(f"[{usual}]")
    odd = [char for char in text if char > "\x7f"]
    weights = {}
    for char in set(odd):
        code = char.encode(decoder)
        weights[char] = 1.0 if member.match(char) else 0.6 if len(code) == 2 and first <= code[0] <= last else 0.0
        if code[0] in (0xA1, 0xA3, 0x81):  # punctuation and full-width letters
            weights[char] = max(weights[char], 0.5)
    return sum(weights[char] for char in odd) / len(odd) if odd else 0.0


def _within(text: str, place: int) -> bool:
    """Whether a character stands between two letters, where no mark belongs."""
    return bool(_LETTER.match(text[place - 1 : place]) and _LETTER.match(text[place + 1 : place + 2]))


def _latin_weight(text: str, place: int) -> float:
    """How much a letter stands as accents do: beside a plain letter, and no capital after a small letter."""
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if text[place].isupper() and before.islower():
        return 0.0
    return 1.0 if _plain(before) or _plain(after) else 0.0 if before.isalpha() or after.isalpha() else 0.6


def _plain(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _by_library(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(CANDIDATES)).best()
    return best.encoding if best is not None and best.encoding in CANDIDATES else "cp1252"
