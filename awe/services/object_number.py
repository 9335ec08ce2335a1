"""Numbers of objects in addresses."""

from werkzeug.routing import IntegerConverter, Map


class ObjectNumber(IntegerConverter):
    """A whole number that fits the column of object numbers; anything larger is no address of this site."""

    regex = "[0-9]+"

    def __init__(self, map: Map) -> None:
        super().__init__(map, min=1, max=2**31 - 1)
