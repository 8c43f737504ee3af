"""One view for all who look at it: computed once when something changed, never once for each of them.

A feed has a version. Who has the version before the newest is sent the change; everybody else, whoever came late or was
slow, is sent the whole. So nothing waits for anybody in memory, and a slow page costs what a fast one does.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Feed", "ListFeed", "ValueFeed", "encode"]


def encode(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


class Feed(ABC):
    """A view with a version.

    Attributes:
        topic: Its name in the stream.
        version: Of what was published last; 0 before the first.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.version = 0
        self._change: bytes | None = None
        self._whole: tuple[int, bytes] = (-1, b"")

    def message(self, since: int) -> bytes:
        """Return what brings a page up to date.

        Args:
            since: The version that it has; 0 for none.
        """
        if self._change is not None and since and since == self.version - 1:
            return self._change
        if self._whole[0] != self.version:
            self._whole = self.version, self.whole()
        return self._whole[1]

    @abstractmethod
    def whole(self) -> bytes:
        """Return the present view, with ``"full": true``."""

    def publish(self, change: bytes | None) -> None:
        """Make what is now the newest version.

        Args:
            change: What changed since the one before; None where the whole has to be sent.
        """
        self.version += 1
        self._change = change


class ValueFeed(Feed):
    """A view that is always sent whole."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.value: Mapping[str, Any] = {}

    def set(self, value: Mapping[str, Any]) -> None:
        """Publish a value, unless only its time differs from the last one."""
        same = {**value, "at": 0} == {**self.value, "at": 0}
        self.value = value
        if not same or not self.version:
            self.publish(None)

    def whole(self) -> bytes:
        """Return the value."""
        return encode({"full": True, "version": self.version, **self.value})


class ListFeed(Feed):
    """Rows by key, each encoded once when it changed."""

    def __init__(self, topic: str, field: str, clock: Callable[[], float]) -> None:
        """Make an empty one.

        Args:
            topic: Its name in the stream.
            field: Where the rows are in the whole.
            clock: Unix seconds.
        """
        super().__init__(topic)
        self._field, self._clock = field, clock
        self._rows: dict[tuple[str, str], bytes] = {}
        self._changed: set[tuple[str, str]] = set()
        self._removed: set[tuple[str, str]] = set()

    def put(self, key: tuple[str, str], row: Mapping[str, Any]) -> None:
        """Take a row in; it is told with the next publication, if it differs."""
        encoded = encode(row)
        if self._rows.get(key) != encoded:
            self._rows[key] = encoded
            self._changed.add(key)
            self._removed.discard(key)

    def drop(self, key: tuple[str, str]) -> None:
        """Take a row out."""
        if self._rows.pop(key, None) is not None:
            self._changed.discard(key)
            self._removed.add(key)

    def flush(self) -> bool:
        """Publish what was put and dropped; return whether there was anything."""
        if self.version and not self._changed and not self._removed:
            return False
        changed = b",".join(self._rows[key] for key in sorted(self._changed))
        removed = encode(sorted("/".join(key) for key in self._removed))
        self._changed.clear()
        self._removed.clear()
        head = f'{{"full":false,"version":{self.version + 1},"at":{self._clock():.3f},"changed":['.encode()
        self.publish(b"".join((head, changed, b'],"removed":', removed, b"}")))
        return True

    def whole(self) -> bytes:
        """Return all rows."""
        return self._wrapped(b'"full":true,', self._rows)

    def listing(self) -> bytes:
        """Return all rows as a GET has them."""
        return self._wrapped(b"", self._rows)

    def _wrapped(self, full: bytes, keys: Iterable[tuple[str, str]]) -> bytes:
        rows = b",".join(self._rows[key] for key in sorted(keys))
        head = f'"version":{self.version},"at":{self._clock():.3f},"{self._field}":['.encode()
        return b"".join((b"{", full, head, rows, b"]}"))
