"""One small family of errors. Each says what was expected, what was found and what to do.

`code` is short, stable and free of data: it is the only part of an error that may leave a site. The message is for the
person at the machine where the error happened.
"""

from typing import ClassVar

from wardround.values.printable import without_passwords


class WardroundError(Exception):
    """Something the user can mend. The command line prints it without a traceback and ends with `exit_code`.

    A password in any of its texts is shown as ***: messages are printed, logged and sent on.

    Parameters
    ----------
    what : str
        What went wrong and where, as one sentence.
    expected, found : str
        What the rule asks for, and what was there instead. Empty where there is nothing to say.
    hint : str
        What to do, as a command or an edit that works when followed to the letter.

    Attributes
    ----------
    code : str
        A short, fixed word without data: the only part of an error that may leave a site (docs/errors.md).
    exit_code : int
        From 1 to 10, one for each kind of error.

    Examples
    --------
    >>> str(WardroundError("The study has no sites.", found="an empty list", hint="name at least one site"))
    'The study has no sites. Found: an empty list. What to do: name at least one site.'
    """

    code: str = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, expected: str = "", found: str = "", hint: str = "") -> None:
        what, expected, found, hint = map(without_passwords, (what, expected, found, hint))
        self.what, self.expected, self.found, self.hint = what, expected, found, hint
        parts = [what.rstrip(".") + "."]
        for lead, text in (("Expected", expected), ("Found", found), ("What to do", hint)):
            if text:
                parts.append(f"{lead}: {text.rstrip('.')}.")
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders with all their parts."""
        return _rebuild, (type(self), self.what, self.expected, self.found, self.hint)


def _rebuild(kind: type[WardroundError], what: str, expected: str, found: str, hint: str) -> WardroundError:
    return kind(what, expected=expected, found=found, hint=hint)


class StudyError(WardroundError):
    """The study file cannot be used as it is written."""

    code = "study"
    exit_code = 2


class DataError(WardroundError):
    """The data are missing, damaged or not what the contract says."""

    code = "data"
    exit_code = 3


class WireError(WardroundError):
    """Bytes from another party are not a message we understand; nothing was done with them."""

    code = "wire"
    exit_code = 4


class EngineError(WardroundError):
    """The engine could not carry messages, or too few sites answered."""

    code = "engine"
    exit_code = 5


class RunError(WardroundError):
    """The run folder cannot be used: it is taken, belongs to another study or could not be written."""

    code = "run"
    exit_code = 6


class RefusedError(WardroundError):
    """A site said no: the order breaks a rule that the site keeps. `code` says which, in one fixed word."""

    code = "refused"
    exit_code = 7

    def __init__(self, what: str, *, expected: str = "", found: str = "", hint: str = "", code: str = "refused") -> None:
        super().__init__(what, expected=expected, found=found, hint=hint)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return _refused, (self.what, self.expected, self.found, self.hint, self.code)


def _refused(what: str, expected: str, found: str, hint: str, code: str) -> RefusedError:
    return RefusedError(what, expected=expected, found=found, hint=hint, code=code)


class RegistryError(WardroundError):
    """The registry does not hold what was asked for, or what it holds has changed."""

    code = "registry"
    exit_code = 8


class AuditError(WardroundError):
    """An attack showed more of epsilon than a study states."""

    code = "audit"
    exit_code = 10


class MissingExtraError(WardroundError):
    """An optional part is needed that is not installed."""

    code = "missing-extra"
    exit_code = 9
