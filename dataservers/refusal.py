"""The one way in which a data server says no, and the rules a filename has to keep."""

from collections.abc import Mapping

LONGEST_NAME = 200


class Refused(Exception):
    """A request that can't be granted: the HTTP status, and one line that says why."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def checked_name(name: str) -> str:
    """Return a filename that is safe in a folder and in a URL; refuse any other, with the rule it breaks."""
    rules = {
        "is empty": not name,
        f"is longer than {LONGEST_NAME} characters": len(name) > LONGEST_NAME,
        "starts with a dot": name.startswith("."),
        "contains / or \\": "/" in name or "\\" in name,
        "contains ..": ".." in name,
        "contains characters that are not printable ASCII": any(not " " <= c <= "~" for c in name),
        "starts or ends with a space": name != name.strip(),
        "ends with .part, the mark of an unfinished upload": name.endswith(".part"),
    }
    broken = [rule for rule, is_broken in rules.items() if is_broken]
    if broken:
        raise Refused(400, f"filename {name[:LONGEST_NAME]!r} {' and '.join(broken)}")
    return name
