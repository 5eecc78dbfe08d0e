"""Group commit: what many threads hand in at once becomes durable at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from xray_agent_tools.errors import AuditUnavailable, RecordUncertain, XrayToolsError

Item = TypeVar("Item")
Made = TypeVar("Made")

_MOST = 64
"""Items of one batch, at most: a disk that syncs in 10 ms then takes 6400 a second."""


class GroupCommit(Generic[Item, Made]):
    """One thread that commits batches. While it commits one, the next gathers."""

    def __init__(
        self, commit: Callable[[Sequence[Item]], Sequence[Made | XrayToolsError]], *, patience_s: float
    ) -> None:
        """Say how a batch is committed; the thread starts with the first item.

        Args:
            commit: makes a whole batch durable and gives what came of each item. What it raises, each item's
                caller gets.
            patience_s: seconds that a caller waits.
        """
        self._commit = commit
        self._patience_s = patience_s
        self._queue: SimpleQueue[tuple[Item, Future[Made]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, item: Item) -> Made:
        """Hand an item in, and wait until it is durable.

        Raises:
            AuditUnavailable: its turn did not come in time, or no more items are taken; it will not be committed.
            RecordUncertain: its commit does not end.
            XrayToolsError: what came of it, or of its batch.
        """
        future: Future[Made] = Future()
        with self._lock:
            if self._closed:
                raise AuditUnavailable("the audit log is closed", hint="open it again")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
                self._thread.start()
            self._queue.put((item, future))
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            return self._given_up(future)

    def close(self) -> None:
        """Commit what was handed in, and take no more."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._queue.put(None)
        if thread is not None:
            thread.join(self._patience_s)

    def _given_up(self, future: Future[Made]) -> Made:
        if future.cancel():
            raise AuditUnavailable("the audit database is too slow", hint="try again later")
        if future.done():
            return future.result()
        raise RecordUncertain("the audit database does not answer", hint="try again with the same request id")

    def _work(self) -> None:
        going = True
        while going:
            batch, going = self._next_batch()
            taken = [(item, future) for item, future in batch if future.set_running_or_notify_cancel()]
            if taken:
                self._settle([item for item, _ in taken], [future for _, future in taken])

    def _next_batch(self) -> tuple[list[tuple[Item, Future[Made]]], bool]:
        """What waits, at least one item unless it is the end; and whether more may come."""
        batch: list[tuple[Item, Future[Made]]] = []
        try:
            while len(batch) < _MOST:
                waiting = self._queue.get(block=not batch)
                if waiting is None:
                    return batch, False
                batch.append(waiting)
        except Empty:
            pass
        return batch, True

    def _settle(self, items: Sequence[Item], futures: Sequence[Future[Made]]) -> None:
        try:
            results = self._commit(items)
        except Exception as error:  # Whatever it is, those who wait must hear of it.
            for future in futures:
                future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            if isinstance(result, XrayToolsError):
                future.set_exception(result)
            else:
                future.set_result(result)
