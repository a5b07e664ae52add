"""Which servers are out of reach, for ``error_cb``, the logger and statistics."""

from __future__ import annotations

import logging
from typing import Any, Callable, Dict, Optional, Set

from .errors import KafkaError

Log = Callable[[int, str, str], None]


class Servers:
    """Hears of servers that cannot be reached, or can again."""

    def __init__(self, error_cb: Optional[Callable[[KafkaError], Any]], log: Log) -> None:
        self._error_cb = error_cb
        self._log = log
        self.known: Set[str] = set()
        self.down: Dict[str, str] = {}
        self._all_are_down = False

    def told(self, server: str, why: Optional[str], code: int) -> None:
        """It is out of reach, with a reason and librdkafka's code for it; or it is not."""
        self.known.add(server)
        if why is None:
            self.down.pop(server, None)
            self._all_are_down = False
            return
        self.down[server] = why
        text = why if why.startswith(server) else f"{server}: {why}"
        self._log(logging.ERROR, "FAIL", text)
        self._tell(KafkaError(code, text))
        # Once, until one of them is back.
        if len(self.down) == len(self.known) and not self._all_are_down:
            self._all_are_down = True
            count = len(self.down)
            text = f"{count}/{count} brokers are down"
            self._tell(KafkaError(KafkaError._ALL_BROKERS_DOWN, text))  # type: ignore[attr-defined]

    def _tell(self, error: KafkaError) -> None:
        if self._error_cb is not None:
            self._error_cb(error)


def logs_to(logger: Optional[Any], client: str) -> Log:
    """How a client's lines go to the program's logger, if it has one."""

    def log(level: int, facility: str, text: str) -> None:
        if logger is not None:
            logger.log(level, "%s [%s] %s", facility, client, text)

    return log
