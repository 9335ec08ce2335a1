"""Errors that a user can do something about; each carries its HTTP status and the exit code of the command."""


class AweError(Exception):
    """Base of all errors whose message is meant for the user: object, expectation, fact, way out."""

    status = 500
    exit_code = 1


class BadRequest(AweError):
    """What was asked for can't be understood: a wrong name, operator or value."""

    status = 400
    exit_code = 2


class NotFound(AweError):
    """No object or file has this name."""

    status = 404
    exit_code = 3


class MissingInput(AweError):
    """A product can't be made, since nothing fits one of its inputs."""

    status = 409
    exit_code = 4


class NotAllowed(AweError):
    """The user may not do this."""

    status = 403
    exit_code = 5


class NotSignedIn(NotAllowed):
    """Only somebody who is known may do this."""

    status = 401


class TooManyAttempts(NotAllowed):
    """So many attempts failed that no more are looked at for a while."""

    status = 429


class BadFile(AweError):
    """A file is damaged, or is not what it should be."""

    status = 422
    exit_code = 6


class StoreUnavailable(AweError):
    """A data server can't be reached, or can't take the file."""

    status = 503
    exit_code = 7


class Busy(AweError):
    """So much is being made at this moment that a request can't even wait."""

    status = 503
    exit_code = 7


class DatabaseUnavailable(AweError):
    """The database can't be reached, is locked, or has another schema than this program."""

    status = 503
    exit_code = 8


class TaskFailed(AweError):
    """The pixels of a product do not allow it to be made."""

    status = 409
    exit_code = 9
