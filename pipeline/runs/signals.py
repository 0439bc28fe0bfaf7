"""SIGINT, SIGTERM and SIGHUP taken down instead of ending the process: whoever waits for dvc ends dvc first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """This process was told to end. `signal`: by which signal."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")


class Signals:
    def __init__(self) -> None:
        self.received: list[int] = []

    def check(self) -> None:
        """Raises Stopped where a signal has come."""
        if self.received:
            raise Stopped(self.received[0])


@contextmanager
def noted() -> Iterator[Signals]:
    """Take signals down inside, but leave an ignored SIGHUP ignored (nohup)."""
    signals = Signals()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if number != signal.SIGHUP or handler != signal.SIG_IGN:
            signal.signal(number, lambda received, _: signals.received.append(received))
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
