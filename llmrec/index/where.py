"""The small language of filters: which products may be found.

::

    price < 50 and brand in ["Acme", "Globex"]
    category under "Shoes > Running" and not (language == "de" or price missing)
    in_stock and price <= 20 EUR and attributes.colour != "red"

``==  !=  <  <=  >  >=  in  not in  contains  under  missing  exists``, joined by ``and``, ``or``, ``not`` and
parentheses. A text is parsed into ``llmrec.index.filters`` and never run; ``llmrec.index.facets`` says what they keep.
Text is compared without case and accents. A product that does not have the field meets no comparison with it, so
``brand != "Acme"``, which is ``not brand == "Acme"``, keeps it.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple

from llmrec.errors import InputError
from llmrec.index.filters import All, AnyOf, Compare, Filter, Money, Not

FIELDS = ("id", "title", "description", "brand", "category", "price", "currency", "language", "url", "in_stock")
#: Fields of which a product has as many as its catalog gave it: ``attributes.colour``, ``extra["Item weight"]``.
OPEN_FIELDS = ("attributes", "extra")
NUMBERS = ("price",)
WORDS = {"and", "or", "not", "in", "contains", "under", "missing", "exists", "true", "false"}

#: Longest text, deepest nesting and longest list: a filter that comes from outside may not tire the machine.
LONGEST, DEEPEST, MOST_VALUES, MOST_COMPARISONS = 20_000, 50, 5_000, 100

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<sign><=|>=|==|!=|=|<|>|\(|\)|\[|\]|,|\.)
    | (?P<word>[^\W\d]\w*)
    )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        InputError: It cannot be read; names the place, and the nearest field for a wrong one.
    """
    if len(text) > LONGEST:
        raise InputError(f"the filter has {len(text)} characters", next_step=f"Give at most {LONGEST}.")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._lexed()
        self._at = 0
        self._depth = self._compared = 0

    def whole(self) -> Filter:
        if self._next.kind == "end":
            raise self._fault("is empty", 'Write price < 50, or brand == "Acme".')
        found = self._any()
        if self._next.kind != "end":
            raise self._fault(f"goes on with {self._next.text!r} where 'and', 'or' or its end is expected")
        return found

    def _lexed(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                quote = self._text[start] in "\"'"
                what = "has a quote that is not closed" if quote else f"has {self._text[start]!r}, which means nothing"
                raise _fault(self._text, start, what, 'Quote text: brand == "Acme".')
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return [*tokens, _Token("end", "", end)]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> str | None:
        """The next token where it is one of these words or signs, which are then behind us."""
        token = self._next
        if token.kind in ("word", "sign") and token.text.lower() in texts:
            self._at += 1
            return token.text.lower()
        return None

    def _need(self, text: str) -> None:
        if self._take(text) is None:
            raise self._fault(f"has {self._next.text or 'its end'!r} where {text!r} is expected")

    def _any(self) -> Filter:
        parts = [self._every()]
        while self._take("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _every(self) -> Filter:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._fault("is nested too deeply", f"Use at most {DEEPEST} levels.")
        try:
            if self._take("not"):
                return Not(self._one())
            if self._take("("):
                found = self._any()
                self._need(")")
                return found
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Filter:
        start = self._next
        self._compared += 1
        if self._compared > MOST_COMPARISONS:
            raise self._fault("compares too often", f"Use at most {MOST_COMPARISONS} comparisons; lists count as one.")
        field, key = self._field()
        if self._take("missing"):
            return Not(Compare(field, "exists", (), key))
        if self._take("exists"):
            return Compare(field, "exists", (), key)
        negated = self._take("not") is not None
        if self._take("in"):
            if field == "in_stock":
                raise _fault(self._text, start.start, "asks 'in' of in_stock", "Write in_stock, or not in_stock.")
            return _negated(Compare(field, "==", self._values(field, "=="), key), negated)
        if negated:
            raise self._fault("has 'not' where 'in' must follow", 'Write brand not in ["Acme"].')
        sign = self._take("==", "=", "!=", "<=", ">=", "<", ">", "contains", "under")
        if sign is None:
            if field == "in_stock":
                return Compare(field, "true", (), key)
            raise _fault(self._text, start.start, f"names {start.text!r} and no comparison", 'Write brand == "Acme".')
        operator = "==" if sign in ("=", "!=") else sign
        found = Compare(field, operator, (self._value(field, operator),), key)  # type: ignore[arg-type]
        if field == "in_stock":
            wanted = found.values[0] == "true"
            return _negated(Compare(field, "true", (), key), (sign == "!=") == wanted)
        return _negated(found, sign == "!=")

    def _field(self) -> tuple[str, str]:
        token = self._next
        name = token.text.lower()
        if token.kind != "word" or name in WORDS:
            raise self._fault(f"has {token.text or 'its end'!r} where a field is expected", _known())
        self._at += 1
        if name in FIELDS:
            return name, ""
        if name not in OPEN_FIELDS:
            near = get_close_matches(name, [*FIELDS, *OPEN_FIELDS], n=1)
            step = f"Did you mean {near[0]!r}? {_known()}" if near else _known()
            raise _fault(self._text, token.start, f"names {token.text!r}, which is no field", step)
        if self._take("."):
            key = self._next
            if key.kind != "word":
                raise self._fault(f"has no name after '{name}.'", f'Write {name}.colour, or {name}["Item weight"].')
            self._at += 1
            return name, key.text
        self._need("[")
        key = self._next
        if key.kind != "string":
            raise self._fault(f"has no name in '{name}[…]'", f'Write {name}["Item weight"].')
        self._at += 1
        self._need("]")
        return name, _unquoted(key.text)

    def _values(self, field: str, operator: str) -> tuple[str | float | Money, ...]:
        self._need("[")
        values = [self._value(field, operator)]
        while self._take(","):
            values.append(self._value(field, operator))
            if len(values) > MOST_VALUES:
                raise self._fault("has a list that is too long", f"Give at most {MOST_VALUES} values.")
        self._need("]")
        return tuple(values)

    def _value(self, field: str, operator: str) -> str | float | Money:
        token = self._next
        self._at += 1
        value: str | float | Money
        if token.kind == "number":
            value = float(token.text)
            currency = self._next
            if re.fullmatch("[A-Z]{3}", currency.text) and currency.text.lower() not in WORDS:
                value = Money(value, self._next.text)
                self._at += 1
        elif token.kind == "string":
            value = _unquoted(token.text)
        elif token.kind == "word" and token.text.lower() in ("true", "false"):
            value = token.text.lower()
        else:
            self._at -= 1
            quoted = f'Write it in quotes: "{token.text}".' if token.kind == "word" else 'Give a number or "a text".'
            raise self._fault(f"has {token.text or 'its end'!r} where a value is expected", quoted)
        self._fits(field, operator, value, token)
        return value

    def _fits(self, field: str, operator: str, value: str | float | Money, token: _Token) -> None:
        """Refuse what could never be met: a price beside a text, a brand beside a number's order."""
        fault = ""
        if field in NUMBERS and isinstance(value, str):
            fault = f"compares {field}, a number, with the text {value!r}"
        elif field == "in_stock" and value not in ("true", "false"):
            fault = "compares in_stock with something other than true or false"
        elif isinstance(value, Money) and field != "price":
            fault = f"compares {field} with an amount of money"
        elif isinstance(value, float) and field not in (*NUMBERS, *OPEN_FIELDS):
            fault = f"compares {field}, a text, with the number {token.text}"
        elif operator in ("contains", "under") and not isinstance(value, str):
            fault = f"asks {operator!r} of a number"
        elif operator in ("contains", "under") and field in (*NUMBERS, "in_stock"):
            fault = f"asks {operator!r} of {field}"
        elif operator == "under" and field != "category":
            fault = f"asks 'under' of {field}, which is no tree"
        elif operator in ("<", "<=", ">", ">=") and isinstance(value, str):
            fault = f"asks {operator!r} of a text"
        if fault:
            raise _fault(self._text, token.start, fault, _known())

    def _fault(self, what: str, step: str = "See the examples in the documentation of filters.") -> InputError:
        return _fault(self._text, self._next.start, what, step)


def _negated(found: Filter, negated: bool) -> Filter:
    return Not(found) if negated else found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _known() -> str:
    return f"Fields: {', '.join(FIELDS)}, attributes.NAME, extra.NAME."


def _fault(text: str, at: int, what: str, step: str) -> InputError:
    begin = max(0, at - 30)
    shown = text[begin : at + 30].replace("\n", " ")
    caret = " " * (at - begin) + "^"
    return InputError(f"the filter {what} (character {at + 1}):\n  {shown}\n  {caret}", next_step=step)
