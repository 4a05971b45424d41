"""The batches of the next step, made while a GPU works on this one.

A thread draws, reads, copies and augments on a stream of its own. Nothing but the time is different: a batch is a
function of its step.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

__all__ = ["Ahead"]

T = TypeVar("T")


class Ahead(Generic[T]):
    """Callable: step to what `make` returns of it; a context, since it has a thread."""

    def __init__(self, make: Callable[[int], T], device: torch.device, steps: int) -> None:
        """Make tensors of a device.

        Args:
            make: called with a global step; its tensors depend on nothing else.
            device: on a CPU nothing is made ahead: a thread would take what the step needs.
            steps: after the last of them there is no next one.
        """
        self._make, self._device, self._steps = make, device, steps
        self._thread: ThreadPoolExecutor | None = None
        self._stream: torch.cuda.Stream | None = None
        self._next: tuple[int, Future[tuple[T, torch.cuda.Event | None]]] | None = None

    def __call__(self, step: int) -> T:
        """The batches of a step, which the current stream may use; raises what `make` raises."""
        if self._thread is None:
            return self._make(step)
        if self._next is None or self._next[0] != step:
            self._next = step, self._thread.submit(self._on_stream, step)
        made, ready = self._next[1].result()
        if ready is not None:
            self._hand_over(made, ready)
        following = step + 1
        self._next = (following, self._thread.submit(self._on_stream, following)) if following < self._steps else None
        return made

    def _on_stream(self, step: int) -> tuple[T, torch.cuda.Event | None]:
        if self._stream is None:
            return self._make(step), None
        with torch.cuda.stream(self._stream):
            made = self._make(step)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        return made, ready

    def _hand_over(self, made: T, ready: torch.cuda.Event) -> None:
        """Let the current stream use tensors of the thread's stream: it waits on the device, not on the host."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(ready)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                tensor.record_stream(current)  # its memory is free again when the step is done with it

    def __enter__(self) -> Self:
        if self._device.type != "cpu":
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            self._stream.wait_stream(torch.cuda.current_stream(self._device))  # features that are still being copied
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        self._thread = self._stream = self._next = None
