"""The one error that a user can fix, and values as its message quotes them."""

from typing import Any


class InputError(Exception):
    """Something the user gave is wrong: the message names where, the value received, and the fix.

    The command line prints the message alone and exits with code 2; no traceback.
    """


QUOTED_LENGTH = 100  # characters of a value in a message


def quote_value(value: Any) -> str:
    """The value as a message names it: quoted, control characters escaped, cut where it is long."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= QUOTED_LENGTH else f"{text[:QUOTED_LENGTH]}..."
