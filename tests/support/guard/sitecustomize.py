"""On the path of the end-to-end run: its stages may reach no network and load no pickle.

Python imports this module at its start. What a stage tries is written to the file GUARD_LOG, and refused.
"""

import os
import socket
import sys

REFUSED = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "pickle.find_class")


def _watch(event: str, arguments: tuple) -> None:
    if event in REFUSED and not _is_local(event, arguments):
        with open(os.environ["GUARD_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{sys.orig_argv[-1]}: {event} {arguments[-2:]}\n")
        raise PermissionError(f"{event} is forbidden in this test")


def _is_local(event: str, arguments: tuple) -> bool:
    """Between processes of this machine by a file's name, or urllib3's trial, at its import, whether IPv6 is there."""
    if event == "socket.bind" and arguments[1] == ("::1", 0):
        return True
    return event in ("socket.connect", "socket.bind") and arguments[0].family == socket.AF_UNIX


if "pipeline" in sys.orig_argv and "GUARD_LOG" in os.environ:
    sys.addaudithook(_watch)
