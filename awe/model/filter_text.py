"""The text of a filter: the words of SQL become those of Python, and places in one are found in the other."""

import ast
import re
from bisect import bisect_right
from dataclasses import dataclass, field

from awe.errors import BadRequest

LONGEST, DEEPEST = 4000, 100
HINT = 'write it like: filter.name == "g" and exptime > 100'
_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<word>[^\W\d]\w*)|(?P<number>\d[\w.]*|\.\d\w*)"""
    r"""|(?P<space>\s+)|(?P<sign>[<>=!]=|<>|=)|(?P<other>.)"""
)
_WORDS = {"and", "or", "not", "in", "is"}
_SIGNS = {"=": "==", "<>": "!="}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


@dataclass
class FilterText:
    """A filter as it was written, and as an expression that Python can parse; nothing in it is executed."""

    written: str
    expression: str = ""
    _starts: list[int] = field(default_factory=lambda: [0])
    _origins: list[int] = field(default_factory=lambda: [0])

    def add(self, text: str, origin: int) -> None:
        """Add a piece of the expression that stands for what was written from `origin` on."""
        self._starts.append(len(self.expression))
        self._origins.append(origin)
        self.expression += text

    def place(self, column: int) -> int:
        """Return the position, from 1, in what was written, of a column of the expression."""
        piece = bisect_right(self._starts, column) - 1
        ends = [*self._origins[piece + 1 :], len(self.written)]
        place = self._origins[piece] + column - self._starts[piece]
        return max(min(place, ends[0] - 1), 0) + 1

    def refusal(self, place: int, why: str) -> BadRequest:
        """Return the error that says what is wrong at a position of what was written."""
        return BadRequest(f"the filter {brief(self.written)!r} at position {place}: {why}")

    def refuse(self, node: ast.AST, why: str) -> BadRequest:
        """Return the error that says what is wrong with a part of the expression."""
        bytes_before = self.expression.encode()[: getattr(node, "col_offset", 0)]
        return self.refusal(self.place(len(bytes_before.decode())), why)

    def parsed(self) -> ast.expr:
        """Return the expression as a tree; raise BadRequest where it can't be understood."""
        if not self.expression:
            raise BadRequest(f"the filter is empty: {HINT}")
        try:
            tree = ast.parse(self.expression, mode="eval")
        except SyntaxError as error:
            raise self.refusal(self.place((error.offset or 1) - 1), f"{error.msg}; {HINT}") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise BadRequest(f"the filter can't be read: {error}; {HINT}") from error
        if _depth(tree) > DEEPEST:
            raise BadRequest(f"the filter is nested more than {DEEPEST} deep: use `in [..]`, or fewer brackets")
        return tree.body


def brief(text: str) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= 120 else f"{text[:120]}..."


def read_text(text: str) -> FilterText:
    """Return the text of a filter with `=`, `like`, `between .. and ..` and `is null` put as Python has them."""
    line = " ".join(text.split("\n")).strip()
    if len(line) > LONGEST:
        raise BadRequest(f"the filter has {len(line)} characters: at most {LONGEST} are read")
    found = FilterText(line)
    tokens = [_Token(str(m.lastgroup), m[0], m.start()) for m in _TOKEN.finditer(line)]
    place = 0
    while place < len(tokens):
        place = _translate(found, tokens, place)
    return found


def _translate(found: FilterText, tokens: list[_Token], place: int) -> int:
    """Add the token at `place`, and those that belong to it; return the place of the next one."""
    token = tokens[place]
    word = token.text.lower() if token.kind == "word" and not _after_dot(tokens, place) else ""
    follows = _following(tokens, place + 1)
    if word == "like" and follows and follows[0].kind == "string":
        found.add(f"in like({follows[0].text})", token.start)
        return tokens.index(follows[0]) + 1
    if word == "like" and place and (not follows or follows[0].text != "("):
        raise found.refusal(token.start + 1, 'write it like: object like "M*", with a text in quotes')
    if word == "between" and follows and follows[0].text != "(":
        return _between(found, tokens, place)
    text = word if word in _WORDS else _SIGNS.get(token.text, token.text) if token.kind == "sign" else token.text
    found.add(text, token.start)
    return place + 1


def _between(found: FilterText, tokens: list[_Token], place: int) -> int:
    """Add `between low and high` as `in between(low, high)`."""
    low, after = _value(tokens, place + 1)
    joint = _following(tokens, after)
    high, end = _value(tokens, tokens.index(joint[0]) + 1) if joint and joint[0].text.lower() == "and" else ("", 0)
    if not low or not high:
        raise found.refusal(tokens[place].start + 1, "write it like: exptime between 1 and 5")
    found.add(f"in between({low}, {high})", tokens[place].start)
    return end


def _value(tokens: list[_Token], place: int) -> tuple[str, int]:
    """Return the number or quoted text from `place` on, and the place after it; empty if there is none."""
    text = ""
    for token in _following(tokens, place):
        if token.kind in ("string", "number"):
            return text + token.text, tokens.index(token) + 1
        if token.text not in ("-", "+") or text:
            break
        text = token.text
    return "", place


def _following(tokens: list[_Token], place: int) -> list[_Token]:
    """Return the next few tokens that are no space."""
    return [t for t in tokens[place : place + 6] if t.kind != "space"]


def _after_dot(tokens: list[_Token], place: int) -> bool:
    before = [t for t in tokens[max(0, place - 2) : place] if t.kind != "space"]
    return bool(before) and before[-1].text == "."


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth
