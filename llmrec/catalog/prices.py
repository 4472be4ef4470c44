"""Prices as shops write them: ``"1.299,00 €"`` is 1299.0 EUR, ``"$12.99"`` 12.99 USD, ``"USD 5"`` 5 USD.

- A range ("$10 - $15", "10–15 €") gives its lower bound, with a warning.
- 0 is kept as 0: whether it means "free" or "unknown" is for the shop to say.
- A negative, unreadable or infinite price, or several ("2 for $5"), gives none, with a warning; the product stays.
- "1.299" and "1,299" are read as thousands (1299), "1.2345" and "0.999" as decimals: see the price-parser library.
- "$", "¥" and "kr" belong to several currencies: the default currency wins where it has that sign, else USD, JPY, none.
"""

from __future__ import annotations

import math
import re
from typing import Any

from llmrec.catalog.names import CURRENCIES
from llmrec.catalog.text import NULLS
from llmrec.errors import InputError
from llmrec.records import Price

#: Whether a text is a number and nothing else, so that its float is its amount.
plain_amount = re.compile(
    r"\d{1,15}(?:\.\d{1,2}|\.\d{4,18})?|0\.\d{1,18}|\d{4,15}\.\d{3}|\d(?:\.\d{1,17})?[eE]\+?\d{1,2}"
).fullmatch
_RANGE = re.compile(r"\d[\s\w.,€$£¥]{0,12}?\s*(?:[-–—~～]|\bto\b|\bbis\b|\bà\b|\bhasta\b)\s*\D{0,5}\d", re.IGNORECASE)
_NUMBER = re.compile(r"\d++(?:[.,'’\s]\d++)*+")
_NEGATIVE = re.compile(r"^\s*(?:[A-Z]{3}|\D?)\s*[-−]\s*\D{0,3}\d|^\s*\(.*\d.*\)\s*$")
_CODE = re.compile(r"(?<![A-Za-z])([A-Z]{3})(?![A-Za-z])")
_DOLLARS = frozenset(["USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "CLP", "COP", "ARS"])
_SHARED = {"$": (_DOLLARS, "USD"), "¥": (frozenset({"JPY", "CNY"}), "JPY"), "￥": (frozenset({"JPY", "CNY"}), "JPY")}
_SHARED["kr"] = _SHARED["kr."] = (frozenset({"SEK", "NOK", "DKK", "ISK"}), "")
_SIGNS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "฿": "THB", "₫": "VND", "₺": "TRY", "₽": "RUB", "руб": "RUB",
    "руб.": "RUB", "₴": "UAH", "₪": "ILS", "₱": "PHP", "₦": "NGN", "zł": "PLN", "zl": "PLN", "Kč": "CZK", "Ft": "HUF",
    "lei": "RON", "元": "CNY", "円": "JPY", "원": "KRW", "R$": "BRL", "US$": "USD", "US $": "USD", "A$": "AUD",
    "AU$": "AUD", "C$": "CAD", "CA$": "CAD", "HK$": "HKD", "NT$": "TWD", "S$": "SGD", "NZ$": "NZD", "MX$": "MXN",
    "RM": "MYR", "Rp": "IDR", "Rs": "INR", "Rs.": "INR", "د.إ": "AED", "Fr.": "CHF", "SFr.": "CHF", "TL": "TRY",
}  # fmt: skip
_CODES = frozenset(map(str.upper, CURRENCIES))
_CACHED = 100_000


class Prices:
    """Reads prices; remembers those it has read, since a catalog has far fewer prices than rows.

    Args:
        currency: ISO 4217 code for prices that name none.
    """

    def __init__(self, currency: str = "") -> None:
        self.default = currency
        self._seen: dict[tuple[str, str], tuple[Price | None, str]] = {}

    def parse(self, value: Any, currency: str = "") -> tuple[Price | None, str]:
        """Read a cell.

        Args:
            value: A number, a text, or an object with ``amount`` (or ``value``) and ``currency``.
            currency: What the currency column of the same row says.

        Returns:
            The price or None, and what was wrong with it ("" for nothing; a price and a fault: a repaired price).
        """
        if type(value) is str and (found := self._seen.get((value, currency))) is not None:
            return found
        if isinstance(value, dict):
            currency = str(_first(value, "currency", "currency_code", "currencyCode", "priceCurrency") or currency)
            value = _first(value, "amount", "value", "price")
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else " - ".join(map(str, value))
        if value is None or value != value:
            return None, ""
        if not isinstance(value, str):
            return self._parse(value, currency)
        if len(self._seen) >= _CACHED:
            self._seen.clear()
        found = self._seen[value, currency] = self._parse(value.strip(), currency)
        return found

    def _parse(self, value: Any, currency: str) -> tuple[Price | None, str]:
        if isinstance(value, str) and value in NULLS:
            return None, ""
        if isinstance(value, bool):
            return None, f"{value} is not a price"
        named = self.code(currency) if currency else self.default
        if not isinstance(value, str) or plain_amount(value):
            try:
                amount = float(value)
            except (ValueError, TypeError, OverflowError):
                return None, f"{str(value)[:60]!r} is not a price"
            if not math.isfinite(amount):
                return None, f"{amount} is not a price"
            return (Price(amount, named), "") if amount >= 0 else (None, f"{amount} is negative")
        if len(value) > 200:
            return None, f"{value[:60]!r}… is not a price"
        return self._from_text(value, currency, named)

    def _from_text(self, value: str, currency: str, named: str) -> tuple[Price | None, str]:
        from price_parser import Price as Parsed

        if _NEGATIVE.search(value):
            return None, f"{value!r} is negative"
        try:
            parsed = Parsed.fromstring(value)
            amount = parsed.amount_float
        except (ValueError, ArithmeticError):
            amount = None
        if amount is None or not math.isfinite(amount):
            return None, f"{value!r} is not a price"
        if not (is_range := _RANGE.search(value)) and len(_NUMBER.findall(value)) > 1:
            return None, f"{value!r} holds several numbers"
        if not currency:
            code = _CODE.search(value)
            sign = parsed.currency or ""
            named = code[1] if code and code[1] == sign else self.code(sign) or self.default
        return Price(amount, named), f"{value!r} is a range: its lower bound is taken" if is_range else ""

    def code(self, sign: str) -> str:
        """The ISO 4217 code of a sign or code, "" when unknown."""
        if sign in _CODES or not sign:
            return sign
        sign = sign.strip()
        if sign in _SHARED:
            using, usual = _SHARED[sign]
            return self.default if self.default in using else usual
        if sign in _SIGNS:
            return _SIGNS[sign]
        return sign.upper() if len(sign) == 3 and sign.isascii() and sign.isalpha() else ""


def _first(value: dict[Any, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def read_currency(code: str) -> str:
    """A currency code as a user writes it.

    Raises:
        InputError: Not three letters.
    """
    if code and not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise InputError(f"{code!r} is not a currency code", next_step="Give an ISO 4217 code, such as EUR.")
    return code.upper()
