"""Read numbers that people write: options, query parameters, settings.

Python's int() and float() read more than is meant: 5_0, " 5", +5, the digits of other scripts, nan
and inf.
"""

import math
import re
from decimal import Decimal

_is_whole = re.compile(r"[0-9]{1,18}").fullmatch
_is_decimal = re.compile(r"([0-9]{1,18}(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?").fullmatch


def whole_number(text: str) -> int | None:
    """Return the number that `text` is in at most 18 digits, otherwise None."""
    return int(text) if _is_whole(text) else None


def decimal_number(text: str) -> float | None:
    """Return the number that `text` is, with or without a fraction and an exponent, else None."""
    number = float(text) if _is_decimal(text) else math.inf
    return number if math.isfinite(number) else None


def decimal_text(number: float) -> str:
    """Return the text that `decimal_number` reads as this number, which is not negative."""
    return format(Decimal(repr(number)), "f")
