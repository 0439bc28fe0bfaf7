"""The one error a user can mend."""


class InputError(Exception):
    """Something the user gave is wrong: the message names where, the value received, and the fix.

    The command line prints the message alone and exits with code 2; no traceback.
    """
