"""Encodings detected, mixed ones survived, lines without end refused."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.catalog.decoding import MAX_LINE, Decoder
from llmrec.catalog.guess import guess_encoding
from llmrec.errors import InputError

SAMPLES = [
    ("cp1252", "1;Bügeleisen weiß;Größe 42\n2;Wärmflasche grün;für Mädchen"),
    ("cp1252", "1,Crème brûlée,5"),
    ("cp1252", "1;Niño pequeño;camión\n2;¿Qué?;año"),
    ("cp1252", "1;Kettle;5 €\n2;Foo – “bar”"),
    ("cp1250", "1;Zażółć gęślą jaźń\n2;Żelazko parowe"),
    ("cp1250", "1;Příliš žluťoučký kůň"),
    ("cp1254", "1;Çocuk ayakkabısı\n2;Şişe ışık ütü"),
    ("cp1251", "1,Чайник,5"),
    ("koi8_r", "1;Чайник электрический"),
    ("cp1253", "1,Βραστήρας νερού"),
    ("cp1255", "1,קומקום חשמלי"),
    ("cp1256", "1,غلاية كهربائية"),
    ("cp874", "1,กาต้มน้ำไฟฟ้า"),
    ("cp932", "2,電気ケトル,2980"),
    ("euc_jp", "1,りんごジュース,100"),
    ("gb18030", "1,不锈钢电热水壶,100"),
    ("big5", "1,不鏽鋼電熱水壺,100"),
    ("cp949", "1,무선 주전자 검정,100"),
    ("cp850", "1;Bügeleisen weiß"),
    ("mac_roman", "1;Bügeleisen weiß;Größe 42\n2;Wärmflasche grün"),
]


@pytest.mark.parametrize(("encoding", "text"), SAMPLES)
def test_a_line_or_two_tell_the_encoding(encoding: str, text: str) -> None:
    assert guess_encoding(text.encode(encoding)) == encoding


def lines(data: bytes, declared: str | None = None) -> tuple[Decoder, list[str]]:
    decoder = Decoder(declared)
    return decoder, list(decoder.lines(io.BytesIO(data)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp932"])
def test_whole_files(encoding: str) -> None:
    text = "id,title\n" + "".join(f"{i},電気ケトル {i} ポット\n" for i in range(50))
    decoder, found = lines(text.encode(encoding))
    assert "".join(found).removeprefix("\ufeff") == text
    assert decoder.encoding == encoding.removesuffix("-sig") + ("-sig" if encoding.endswith("-sig") else "")
    assert not decoder.notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030", "cp1252"])
def test_a_declared_encoding_is_used(encoding: str) -> None:
    assert lines("a,ü\n".encode(encoding), encoding)[1] == ["a,ü\n"]


@pytest.mark.parametrize("name", ["utf-9", "rot13", "base64", "punycode", "a\0b"])
def test_an_encoding_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown encoding"):
        Decoder(name)


def test_mixed_encodings_are_read_line_by_line_and_noted() -> None:
    data = b"id,title\n" + "1,Größe\n2,naïve\n".encode() + "3,Größe weiß\n".encode("cp1252") + "4,Öl\n".encode()
    decoder, found = lines(data)
    assert found == ["id,title\n", "1,Größe\n", "2,naïve\n", "3,Größe weiß\n", "4,Öl\n"]
    assert decoder.encoding == "utf-8" and decoder.counts == {"cp1252": 1}
    assert list(decoder.notes) == [(4, "mixed_encodings", "not utf-8: read as cp1252")]


def test_a_utf8_line_in_a_cp1252_file() -> None:
    data = "1,Größe\n2,weiß\n3,Öl\n".encode("cp1252") + "4,grün\n".encode()
    decoder, found = lines(data)
    assert found == ["1,Größe\n", "2,weiß\n", "3,Öl\n", "4,grün\n"]
    assert decoder.encoding == "cp1252" and decoder.counts == {"utf-8": 1}


def test_the_first_odd_byte_may_come_late() -> None:
    plain = b"1,plain\n" * 200_000  # more than one block
    decoder, found = lines(plain + "2,Größe weiß\n".encode("cp1252"))
    assert found[-1] == "2,Größe weiß\n" and len(found) == 200_001
    assert decoder.encoding == "cp1252"


def test_line_ends_of_old_macs() -> None:
    assert lines(b"a,b\rc,d\r")[1] == ["a,b\n", "c,d\n"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_endless_line_comes_empty_and_noted(encoding: str) -> None:
    text = "a\n" + "x" * (MAX_LINE + 3 * 2**20) + "\nb\n"
    decoder, found = lines(text.encode(encoding))
    assert found == ["a\n", "\n", "b\n"]
    assert list(decoder.notes) == [(2, "line_too_long", "is longer than 8 MiB")]


def test_nul_bytes_are_noted() -> None:
    decoder, found = lines(b"a\nb\0c\nd\n")
    assert found == ["a\n", "b\0c\n", "d\n"]
    assert list(decoder.notes) == [(2, "nul_bytes", "holds NUL bytes")]


@given(st.binary(max_size=200))
def test_any_bytes_give_as_many_lines_as_they_have(data: bytes) -> None:
    decoder, found = lines(data)
    if decoder.encoding not in ("utf-16", "utf-32", "utf-16-le", "utf-16-be") and b"\r" not in data:
        body = data.removeprefix(b"\xef\xbb\xbf")
        assert len(found) == body.count(b"\n") + (not body.endswith(b"\n") and bool(body))
    assert "".join(Decoder().texts(io.BytesIO(data))) is not None


@given(st.text(alphabet=st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_utf8_comes_back_as_it_is(text: str) -> None:
    assert "".join(lines(("x\n" + text).encode())[1]) == "x\n" + text
