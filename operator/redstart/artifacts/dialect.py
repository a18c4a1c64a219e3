"""How a CSV file is written: encoding, separator, decimal sign. Recognised from its beginning where only one reading
fits; else an error says what was found and which field to set. Pure, and for trainer and command line alike.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from redstart.artifacts.cells import Decimal

Field = Literal["separator", "decimal", "encoding"]

BEGINNING = 1 << 20
"""Bytes from which a dialect is recognised."""

_SEPARATORS = (",", ";", "\t", "|")
_RARER = (" ", ":", "^", "~", "\x01", "\x1f")  # only ever named in an error
_NAMES = {"\t": "tabs", " ": "blanks", "\x01": "\\x01", "\x1f": "\\x1f"}
_RECORDS = 1000  # judged at most
_ENOUGH = 3  # numbers with a decimal comma in a file that is separated by commas
_SIGNATURES = (
    (b"PK\x03\x04", "a ZIP file, as Excel workbooks are; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save the sheet as CSV"),
    (b"PAR1", "a Parquet file; let its name end in .parquet"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it, or compress it by gzip"),
    (b"BZh", "compressed by bzip2; unpack it, or compress it by gzip"),
    (b"\xfd7zXZ", "compressed by xz; unpack it, or compress it by gzip"),
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_EXCEL = re.compile(r"\ufeff?sep=(.)\r?\n")

# A sign that stands once before one, two, or more than three digits, or after a zero, groups nothing.
_FRACTION = r"[+-]?(?:\d+{0}(?:\d{{1,2}}|\d{{4,}})|0?{0}\d+|\d{{4,}}{0}\d+)(?:[eE][+-]?\d+)?"
_GROUPED = r"[+-]?\d{{1,3}}(?:{1}\d{{3}})+{0}\d+"
_EITHER = r"[+-]?[1-9]\d{{0,2}}{0}\d{{3}}"


def _sign(decimal: str, group: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    point, other = re.escape(decimal), re.escape(group)
    return (
        re.compile(_FRACTION.format(point) + "|" + _GROUPED.format(point, other)),
        re.compile(_EITHER.format(point)),
    )


_COMMA, _COMMA_OR_GROUP = _sign(",", ".")
_POINT, _ = _sign(".", ",")


class DialectError(ValueError):
    """The file is written in a way that was not recognised; `field` of the format mends it, where one does."""

    def __init__(self, message: str, field: Field | None = None, value: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.value = value


@dataclass(frozen=True)
class Format:
    """What is known of a file before it is read; None is to be recognised."""

    separator: str | None = None
    decimal: Decimal | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        encoding: A codec of Python.
        preamble: Lines before the header.
        old_lines: Whether lines end with a carriage return alone.
        header: The cells of the first record, as they stand there.
        guessed: What was recognised that is not the common way, in words.
    """

    separator: str
    decimal: Decimal
    encoding: str
    preamble: int
    old_lines: bool
    header: tuple[str, ...]
    guessed: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the bytes can be read as they are."""
        return self.encoding in ("utf-8", "utf-8-sig") and not self.old_lines


NOTHING_KNOWN = Format()


def recognise(beginning: bytes, *, complete: bool, known: Format = NOTHING_KNOWN) -> Dialect:
    """How the file is written that begins so.

    Args:
        beginning: Its first bytes, unpacked.
        complete: Whether they are the whole file.

    Raises:
        DialectError: nothing fits, or more than one reading.
    """
    guessed: list[str] = []
    for signature, what in _SIGNATURES:
        if beginning.startswith(signature):
            raise DialectError(f"it is {what}")
    encoding, mark = _encoding(beginning, known.encoding)
    if mark not in ("", "UTF-8"):
        guessed.append(f"in {mark} by its byte order mark")
    text = _text(beginning, encoding, complete)
    old_lines = "\r" in text and "\n" not in text and not (text.endswith("\r") and text.count("\r") == 1)
    if old_lines:
        text = text.replace("\r", "\n")
    separator, preamble = known.separator, 0
    if (excel := _EXCEL.match(text)) is not None:
        separator, preamble, text = separator or excel[1], 1, text[excel.end() :]
        guessed.append(f"separated by {_named(separator)} as its first line says")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise DialectError("it is empty")
    if separator is None:
        separator = _separator(text, complete)
        if separator != ",":
            guessed.append(f"separated by {_named(separator)}")
    records = _records(text, separator, complete)
    _same_width(records, separator, preamble)
    decimal = known.decimal
    if decimal is None:
        decimal = _decimal(records[1:], separator)
        if decimal != ".":
            guessed.append("with decimal comma")
    return Dialect(separator, decimal, encoding, preamble, old_lines, tuple(records[0]), tuple(guessed))


def decoded(chunks: Iterable[bytes], dialect: Dialect) -> Iterator[str]:
    """The text of a file, piece by piece; lines end with a line feed where they ended with a carriage return alone.

    Raises:
        DialectError: bytes that are no text in its encoding, with their line.
    """
    decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder(dialect.encoding)()
    lines, first = 1, True
    for chunk in _with_end(chunks):
        try:
            text = decoder.decode(chunk or b"", final=chunk is None)
        except UnicodeDecodeError as error:
            raise _undecodable(error, dialect.encoding, lines) from error
        if dialect.old_lines:
            text = text.replace("\r", "\n")
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        lines += text.count("\n")
        yield text


def _with_end(chunks: Iterable[bytes]) -> Iterator[bytes | None]:
    yield from chunks
    yield None


def _encoding(beginning: bytes, known: str | None) -> tuple[str, str]:
    """The codec, and the name of the encoding where a byte order mark tells it."""
    if known is not None:
        try:
            found = codecs.lookup(known)
        except LookupError as error:
            raise DialectError(f"{known} is no encoding that is known here", "encoding", "UTF-8") from error
        return ("utf-8-sig" if found.name == "utf-8" else found.name), ""
    for mark, codec, name in _MARKS:
        if beginning.startswith(mark):
            return codec, name
    head = beginning[:4096]
    for offset, name in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        half = head[offset::2]
        if len(half) > 1 and half.count(0) > len(half) * 0.7:
            raise DialectError(f"it looks like {name} without a byte order mark", "encoding", name)
    return "utf-8", ""


def _text(beginning: bytes, encoding: str, complete: bool) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(beginning, final=complete)
    except UnicodeDecodeError as error:
        raise _undecodable(error, encoding, 1) from error
    except UnicodeError as error:  # UTF-16 and UTF-32 without a byte order mark
        raise DialectError(f"it is no {encoding}: {error}", "encoding", "UTF-8") from error


def _undecodable(error: UnicodeDecodeError, encoding: str, lines: int) -> DialectError:
    """Shows what the header would be in another encoding, and never a cell: it may be a sensitive one."""
    content = bytes(error.object)
    before, byte = content[: error.start], content[error.start]
    line = lines + before.count(b"\n")
    name = encoding.upper().removesuffix("-SIG")
    told = f"byte 0x{byte:02X} in line {line:,} is no {name}"
    if not encoding.startswith("utf-8"):
        return DialectError(told, "encoding", "UTF-8")
    word = ""
    if line == 1 and lines == 1:
        cell = re.split(rb"[,;|\t\r\n]", content[error.start :], maxsplit=1)[0]
        start = max(before.rfind(sign) for sign in (b",", b";", b"|", b"\t", b"\n")) + 1
        word = (content[start : error.start] + cell)[:60].decode("cp1252", "replace").strip("\"' ")
    shown = f"; in cp1252 the header has {word!r} there" if word else ""
    return DialectError(f"{told}{shown}", "encoding", "cp1252")


def _named(separator: str) -> str:
    return _NAMES.get(separator, separator)


def _records(text: str, separator: str, complete: bool) -> list[list[str]]:
    """The first records that are whole; blank lines are none."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    records: list[list[str]] = []
    try:
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                records.append(record)
            if len(records) > _RECORDS:
                break
    except csv.Error:
        complete = False
    else:
        complete = complete or len(records) > _RECORDS
    # The last one of a beginning may be cut in the middle.
    whole = records if complete or len(records) < 2 else records[:-1]
    return whole or [[text[:100]]]


def _separator(text: str, complete: bool) -> str:
    fits: dict[str, list[list[str]]] = {}
    shares: dict[str, float] = {}
    for separator in (*_SEPARATORS, *_RARER):
        records = _records(text, separator, complete)
        width = len(records[0])
        if width < 2:
            continue
        same = sum(len(record) == width for record in records)
        shares[separator] = same / len(records)
        if same == len(records):
            fits[separator] = records
    common = [separator for separator in _SEPARATORS if separator in fits]
    if len(common) > 1:
        either = " or by ".join(map(_named, common))
        raise DialectError(f"it could be separated by {either}", "separator", common[0])
    if common:
        return common[0]
    uneven = [separator for separator in _SEPARATORS if separator in shares]
    if uneven:
        return max(uneven, key=lambda separator: shares[separator])
    for separator in _RARER:
        if len(fits.get(separator, [])) > 1:
            raise DialectError(f"it looks separated by {_named(separator)}", "separator", separator)
    # One column, unless the lines below say otherwise, whose separator is then named.
    for separator in _SEPARATORS:
        if any(len(record) > 1 for record in _records(text, separator, complete)):
            return separator
    return ","


def _same_width(records: Sequence[Sequence[str]], separator: str, preamble: int) -> None:
    width = len(records[0])
    for number, record in enumerate(records[1:], start=2):
        if len(record) != width:
            raise DialectError(uneven(number + preamble, len(record), width, separator))


def uneven(record: int, fields: int, width: int, separator: str) -> str:
    """What to say of a record that has more or fewer fields than the header."""
    told = (
        f"record {record} has {fields} fields where the header has {width} (separated by {_named(separator)})"
    )
    if width == 1:
        return f"{told}; remove what stands before the header"
    if fields == width + 1:
        return f"{told}; is a text with a {_named(separator)} in it without quotes, or has the first column no name?"
    return told


def _decimal(records: Iterable[Sequence[str]], separator: str) -> Decimal:
    commas = points = either = 0
    for record in records:
        for cell in record:
            text = cell.strip()
            if not text[:1].isdigit() and text[:1] not in ("-", "+", ",", "."):
                continue
            commas += _COMMA.fullmatch(text) is not None
            points += _POINT.fullmatch(text) is not None
            either += _COMMA_OR_GROUP.fullmatch(text) is not None
    if separator == ",":
        # Numbers in quotes: thousands are what a comma means in such a file, unless they say otherwise throughout.
        return "," if commas >= _ENOUGH and not points else "."
    if commas and points:
        raise DialectError(
            "it has numbers with a decimal comma and numbers with a decimal point", "decimal", ","
        )
    if either and not commas and not points:
        raise DialectError("a comma in its numbers could be decimal, or group thousands", "decimal", ",")
    return "," if commas else "."
