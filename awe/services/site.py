"""Which database a site shows, told without its address: so that a client knows whether a site is its own."""

from hashlib import sha256

from sqlalchemy import URL


def site_name(address: URL) -> str:
    """Return a short text that is equal for equal databases, whoever reaches them with whatever driver or password."""
    database = address.database or ""
    place = (address.get_backend_name(), (address.host or "").lower(), address.port, database)
    return sha256(repr(place).encode()).hexdigest()[:16]
