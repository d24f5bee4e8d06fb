"""Numbers in text cells: decimal marks, thousands separators, percent signs and units."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# Texts that stand for a missing cell where the other cells of the column are of another kind: those
# of pandas, and what people type.
MISSING_MARKERS = (
    *("", "NA", "N/A", "n/a", "#N/A", "#NA", "#N/A N/A", "<NA>", "NaN", "nan", "-nan", "-NaN"),
    *("NAN", "NaT", "NULL", "Null", "null", "None", "none", "1.#IND", "1.#QNAN", "-1.#IND"),
    *("-1.#QNAN", "?", "-", "--", "."),
)
SPACES = "\u00a0\u202f\u2009"  # no-break, narrow no-break and thin
APOSTROPHES = "'\u2019"
MINUS = "\u2212"
# Usual thousands separators, by decimal mark.
THOUSANDS = {".": f", {APOSTROPHES}{SPACES}", ",": f". {APOSTROPHES}{SPACES}"}
CURRENCY = r"[$€£¥₹]|(?:EUR|USD|GBP|CHF|JPY|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN)"
# A percent sign, or letters such as kg, °C, m³/h or km/h^2; \p{L} takes milliseconds to compile.
LETTER = r"[A-Za-zµ°²³€£¥₹\x{c0}-\x{24f}\x{370}-\x{4ff}\x{2126}]"  # Latin, Greek, Cyrillic, ohm
UNIT = rf"[%‰$]|{LETTER}+(?:\^?-?[23]?[/·*.]{LETTER}+)*(?:\^-?[23])?"
PROBE = 16  # cells; a cast that fails is slow
# Of "1.5k", and of "1e", which is cut off.
MAGNITUDES = (*tuple("eEkKMmBGT"), "bn", "mn", "Mio", "Mrd")
# A digit without letters before it except of a currency, or an infinity.
CANDIDATE = rf"^(?:[^A-Za-z\d]|{CURRENCY})*\d|^\s*[+\-]?(?i:inf(?:inity)?)\s*$"


@dataclass(frozen=True)
class NumberFormat:
    """Marks of the numbers in a text file.

    `thousands` separates groups of three digits. None accepts the usual marks, "" accepts none.
    """

    decimal: str = "."
    thousands: str | None = None

    @property
    def pattern(self) -> str:
        """Return the regular expression of a number, in the syntax of RE2, with named groups."""
        marks = THOUSANDS[self.decimal] if self.thousands is None else self.thousands
        point = rf"\{self.decimal}"
        groups = rf"\d{{1,3}}(?:[{_escaped(marks)}]\d{{3}})+|" if marks else ""
        blank = rf"[\s{SPACES}]*"
        return (
            rf"^{blank}(?P<open>\()?(?P<sign>[+\-{MINUS}]?){blank}(?P<currency>{CURRENCY})?{blank}"
            rf"(?P<sign2>[+\-{MINUS}]?)(?P<whole>{groups}\d+|(?i:inf(?:inity)?)|)(?P<fraction>{point}\d*)?"
            rf"(?P<exponent>[eE][+\-]?\d+)?(?P<gap>{blank})(?P<trail>-)?(?P<unit>{UNIT})?"
            rf"(?P<close>\))?{blank}$"
        )


def parse_numbers(column: pa.Array, numbers: NumberFormat) -> pa.Array:
    """Return a column as float64, null where a cell is not a number.

    Text may hold thousands separators, signs of currency, a percent sign and a unit: "12 kg" is 12,
    "15 %" is 15, "(1,234.50)" is -1234.5. That holds for the unit of at least half of the numbers.
    Cells with another unit are null, since their numbers do not compare, and so are those with a
    magnitude such as "1.5k". A truth value is 1 or 0. Dates are not numbers.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_text(column.type):
        values = _from_typed(column)
    else:
        values = _cast(column, numbers)
        if values is None:
            missing = pc.is_in(column, pa.array(MISSING_MARKERS, column.type))
            column = pc.if_else(missing, pa.scalar(None, column.type), column)
            values = _cast(column, numbers)
        if values is None:  # per different text, since texts repeat
            encoded = column.dictionary_encode()
            texts = encoded.dictionary.cast(pa.string())
            candidate = pc.match_substring_regex(texts, CANDIDATE)
            if not pc.any(candidate).as_py():
                return pa.nulls(len(column), pa.float64())
            texts = pc.if_else(candidate, texts, pa.scalar(None, pa.string()))
            values, units = (x.take(encoded.indices) for x in _parse(texts, numbers))
            values = pc.if_else(_has_usual_unit(values, units), values, None)
    return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _from_typed(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return pa.nulls(len(column), pa.float64())
    return column.cast(pa.float64(), safe=False)  # large integers are rounded


def _cast(texts: pa.Array, numbers: NumberFormat) -> pa.Array | None:
    """Return plain numbers; None if a text is not one."""
    if numbers.decimal == ",":
        if pc.any(pc.match_substring(texts, ".")).as_py():
            return None
        texts = pc.replace_substring(texts, ",", ".")
    try:
        texts[:PROBE].cast(pa.float64())
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _parse(texts: pa.Array, numbers: NumberFormat) -> tuple[pa.Array, pa.Array]:
    """Return numbers with thousands separators, and their units, "" without one."""
    found = pc.extract_regex(texts, numbers.pattern)
    part = {field.name: pc.struct_field(found, field.name) for field in found.type}
    whole = pc.replace_substring_regex(part["whole"], r"[^\da-zA-Z]", "")
    fraction = pc.replace_substring(part["fraction"], numbers.decimal, ".")
    plain = pc.binary_join_element_wise(whole, fraction, part["exponent"], "")
    has_digits = pc.match_substring_regex(plain, r"^(?:\.?\d|(?i:inf))")
    signs = pc.binary_join_element_wise(*(part[n] for n in ("open", "sign", "sign2", "trail")), "")
    one_sign = pc.less_equal(pc.utf8_length(signs), 1)
    closed = pc.equal(part["open"], pc.replace_substring(part["close"], ")", "("))
    magnitude = pc.and_(pc.is_in(part["unit"], pa.array(MAGNITUDES)), pc.equal(part["gap"], ""))
    valid = pc.and_not(pc.and_(pc.and_(has_digits, one_sign), closed), magnitude)
    values = pc.if_else(valid, plain, pa.scalar(None, pa.string())).cast(pa.float64())
    negative = pc.match_substring_regex(signs, rf"[(\-{MINUS}]")
    units = pc.binary_join_element_wise(part["currency"], part["unit"], "")
    return pc.if_else(negative, pc.negate(values), values), units


def _has_usual_unit(values: pa.Array, units: pa.Array) -> pa.Array:
    """Return a mask: True where a number has no unit, or that of at least half of the numbers."""
    counted = pc.value_counts(units.filter(values.is_valid())).to_pylist()
    counts = {each["values"]: each["counts"] for each in counted}
    half = sum(counts.values()) / 2
    usual = [unit for unit, count in sorted(counts.items()) if unit and count >= half]
    return pc.is_in(units, pa.array(["", *usual[:1]]))


def _escaped(marks: str) -> str:
    return "".join(f"\\{mark}" if mark in r"\]^-" else mark for mark in marks)
