"""How a CSV file is written: what is recognised from its beginning, and what is asked about."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redstart.artifacts.dialect import NOTHING_KNOWN, Dialect, DialectError, Format, decoded, recognise

ROWS = "torque,kind,wear\n40.5,L,1\n41.25,M,2\n"
GERMAN = "torque;kind;wear\n40,5;L;1\n41,25;M;2\n"


def found(content: str | bytes, known: Format = NOTHING_KNOWN, *, complete: bool = True) -> Dialect:
    return recognise(
        content if isinstance(content, bytes) else content.encode(), complete=complete, known=known
    )


@pytest.mark.parametrize(
    ("content", "separator", "decimal", "encoding"),
    [
        pytest.param(ROWS, ",", ".", "utf-8", id="commas"),
        pytest.param(ROWS.replace(",", ";"), ";", ".", "utf-8", id="semicolons"),
        pytest.param(ROWS.replace(",", "\t"), "\t", ".", "utf-8", id="tabs"),
        pytest.param(ROWS.replace(",", "|"), "|", ".", "utf-8", id="bars"),
        pytest.param(GERMAN, ";", ",", "utf-8", id="semicolons and decimal commas"),
        pytest.param(GERMAN.replace(";", "\t"), "\t", ",", "utf-8", id="tabs and decimal commas"),
        pytest.param('a,b\n"1,5",x\n"2,5",y\n"0,5",y\n', ",", ",", "utf-8", id="decimal commas in quotes"),
        pytest.param('a,b\n"1,5",x\n', ",", ".", "utf-8", id="one cell with a comma in quotes"),
        pytest.param('a,b\n"1,234",x\n"2,500",y\n', ",", ".", "utf-8", id="thousands in quotes"),
        pytest.param("a;b\n1.234,5;x\n", ";", ",", "utf-8", id="points between thousands"),
        pytest.param("a;b\n1,234.5;x\n", ";", ".", "utf-8", id="commas between thousands"),
        pytest.param("a;b\n0,125;x\n", ";", ",", "utf-8", id="a zero before three decimals"),
        pytest.param("a;b\n12;x\n7;y\n", ";", ".", "utf-8", id="whole numbers only"),
        pytest.param("a;note\n1;x, y\n2;z\n", ";", ".", "utf-8", id="commas in text"),
        pytest.param('a,note\n1,"x; y"\n2,"z; w"\n', ",", ".", "utf-8", id="semicolons in text"),
        pytest.param('"a;b",c\n1,2\n', ",", ".", "utf-8", id="a semicolon in a quoted name"),
        pytest.param('a;note\n1;"two\nlines"\n', ";", ".", "utf-8", id="lines in quotes"),
        pytest.param("a\n1\n2\n", ",", ".", "utf-8", id="one column"),
        pytest.param("sep=;\na;b\n1;2\n", ";", ".", "utf-8", id="Excel's first line"),
        pytest.param(GERMAN.replace("\n", "\r\n"), ";", ",", "utf-8", id="lines of Windows"),
        pytest.param(GERMAN.replace("\n", "\r"), ";", ",", "utf-8", id="lines of old Macs"),
        pytest.param(ROWS.encode("utf-8-sig"), ",", ".", "utf-8-sig", id="UTF-8 with a mark"),
        pytest.param(GERMAN.encode("utf-16"), ";", ",", "utf-16", id="UTF-16 with a mark"),
        pytest.param("\ufeff".encode("utf-16-be") + ROWS.encode("utf-16-be"), ",", ".", "utf-16", id="UTF-16BE"),
        pytest.param("größe,b\n1,2\n", ",", ".", "utf-8", id="umlauts"),
    ],
)  # fmt: skip
def test_what_is_recognised(content: str | bytes, separator: str, decimal: str, encoding: str) -> None:
    dialect = found(content)
    assert (dialect.separator, dialect.decimal, dialect.encoding) == (separator, decimal, encoding)
    assert not dialect.header[0].startswith("\ufeff")
    assert bool(dialect.guessed) == ((separator, decimal) != (",", ".") or encoding == "utf-16")


@pytest.mark.parametrize(
    ("content", "field", "sentence"),
    [
        pytest.param("a|b,c|d\n1|2,3|4\n", "separator", r"could be separated by , or by \|", id="two separators"),
        pytest.param("a b\n1 2\n3 4\n", "separator", "looks separated by blanks", id="blanks"),
        pytest.param("a^b\n1^2\n3^4\n", "separator", r"looks separated by \^", id="carets"),
        pytest.param("a;b\n1,234;x\n", "decimal", "could be decimal, or group thousands", id="one comma"),
        pytest.param("a;b\n1,5;2.5\n", "decimal", "decimal comma and numbers with a decimal point", id="both signs"),
        pytest.param("größe,b\n1,2\n".encode("cp1252"), "encoding", "in cp1252 the header has 'größe'", id="a name"),
        pytest.param("a,b\nx,grün\n".encode("cp1252"), "encoding", "byte 0xFC in line 2 is no UTF-8$", id="a cell"),
        pytest.param(ROWS.encode("utf-16-le"), "encoding", "looks like UTF-16LE without", id="UTF-16LE, no mark"),
        pytest.param(ROWS.encode("utf-16-be"), "encoding", "looks like UTF-16BE without", id="UTF-16BE, no mark"),
        pytest.param("a,b\n1,2\n1,2,3\n", None, r"record 3 has 3 fields where the header has 2", id="a field too many"),
        pytest.param("a;b;c\n1;2;3\n1;2\n", None, r"record 3 has 2 fields .* by ;", id="a field too few"),
        pytest.param("made by x\na,b\n1,2\n", None, "remove what stands before the header", id="a title"),
        pytest.param("", None, "empty", id="nothing"),
        pytest.param("\n\n", None, "empty", id="blank lines"),
        pytest.param(b"PK\x03\x04xl", None, "Excel workbooks", id="a workbook"),
        pytest.param(b"PAR1xx", None, "let its name end in .parquet", id="Parquet"),
    ],
)  # fmt: skip
def test_what_is_asked_about(content: str | bytes, field: str | None, sentence: str) -> None:
    with pytest.raises(DialectError, match=sentence) as caught:
        found(content)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("content", "known", "header"),
    [
        pytest.param("a b\n1 2\n", Format(separator=" "), ("a", "b"), id="blanks"),
        pytest.param("a|b,c|d\n1|2,3|4\n", Format(separator="|"), ("a", "b,c", "d"), id="one of two separators"),
        pytest.param("größe;b\n1;2\n".encode("cp1252"), Format(encoding="cp1252"), ("größe", "b"), id="cp1252"),
        pytest.param("größe;b\n1;2\n".encode("latin-1"), Format(encoding="latin-1"), ("größe", "b"), id="latin-1"),
        pytest.param(ROWS.encode("utf-16-le"), Format(encoding="UTF-16LE"), ("torque", "kind", "wear"), id="UTF-16LE"),
        pytest.param(ROWS.encode("utf-8-sig"), Format(encoding="utf-8"), ("torque", "kind", "wear"), id="UTF-8"),
    ],
)  # fmt: skip
def test_what_is_said_is_done(content: str | bytes, known: Format, header: tuple[str, ...]) -> None:
    assert found(content, known).header == header


def test_the_last_line_of_a_beginning_is_not_judged() -> None:
    assert found("a,b\n1,2\n1", complete=False).separator == ","


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "utf-16-le"])
def test_text_is_decoded_in_pieces_of_any_size(encoding: str, size: int) -> None:
    content = "größe;b\nä;2\n".encode(encoding)
    dialect = found(content, Format(encoding=encoding))
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    assert "".join(decoded(pieces, dialect)) == "größe;b\nä;2\n"


def test_bytes_that_are_no_text_are_named_with_their_line() -> None:
    dialect = found("a,b\n1,2\n")
    with pytest.raises(DialectError, match=r"byte 0xFC in line 3 is no UTF-8$"):
        list(decoded([b"a,b\n1,2\n", b"gr\xfcn,2\n"], dialect))


_CELLS = st.one_of(
    st.integers(-9999, 9999).map(str),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: f"{value:.2f}"),
    st.text('xyzäö ,;|\t"\n', max_size=8),
)


@given(
    rows=st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=8),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=200, deadline=None)
def test_what_a_writer_wrote_is_read_as_it_was(
    rows: list[tuple[str, str, str]], separator: str, encoding: str
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows([("a", "b", "c"), *rows])
    content = out.getvalue().encode(encoding)
    dialect = recognise(content, complete=True, known=Format(decimal="."))
    assert (dialect.separator, dialect.header) == (separator, ("a", "b", "c"))
    text = "".join(decoded([content], dialect))
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))[1:] == [
        list(row) for row in rows
    ]
