"""Whether the user asked to hear more: one flag of the whole command line, set once before any command runs."""

_VERBOSE = {"asked": False}


def set_verbose(asked: bool) -> None:
    _VERBOSE["asked"] = asked


def is_verbose() -> bool:
    return _VERBOSE["asked"]
