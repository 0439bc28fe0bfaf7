"""Errors that a user can fix, and quoted values for their messages."""

from typing import Any


class InputError(Exception):
    """Wrong input by the user: the message names where, the value received, and the fix.

    The command line prints the message alone and exits with code 2; no traceback.
    """


def describe_refusal(error: OSError) -> str:
    """Describe what the system refused, with the fix: nothing that a traceback would tell more of."""
    if isinstance(error, PermissionError):
        return f"{error}; give yourself the right to read and write there, as its owner or by a group"
    if error.filename is None:
        return f"{error}; the system names no file: look whether the disk is full or failing (df, dmesg)"
    return f"{error}; free or fix what it names"


QUOTED_LENGTH = 100  # characters of a value in a message


def quote_value(value: Any) -> str:
    """Quote a value for a message: in quotes, control characters escaped, cut where it is long."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= QUOTED_LENGTH else f"{text[:QUOTED_LENGTH]}..."
