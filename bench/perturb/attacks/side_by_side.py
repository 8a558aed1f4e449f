"""Attacks of several pictures whose questions share a batch, though each is written for one.

A network answers eight pictures in about twice the time of one. An attack asks about one picture,
and about the next place only when it knows the answer; eight attacks side by side ask about eight.
Each of them runs in a thread of its own, but never two at once: one runs until it asks, then the
next, and when all wait, one pass of the network answers them. So an attack stays a plain function
of one picture, whoever wrote it, and global random generators are handed over with the turn.

    a: start ... ask |               | go on ... ask |
    b:               | start ... ask |               | go on ...
    network:                         ^ answers a, b

A batch always has `rows` rows, some of them empty, and nothing of a row reaches another in a
network in evaluation mode. So answers do not depend on the neighbours, to the last bit.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from typing_extensions import override

#: Pictures in a pass.
ROWS = 8

T = TypeVar("T")


def side_by_side(
    network: nn.Module, attacks: Sequence[Callable[[nn.Module], T]], rows: int = ROWS
) -> list[T]:
    """What each attack returns, in their order.

    Args:
        network: float32 images (N, 3, H, W) -> logits (N, K), in evaluation mode; one whose rows do
            not depend on each other.
        attacks: Each is called with a module that answers as the network does, one image at a time
            (more are passed on as they are), and can be differentiated once.
        rows: So many at once.

    Raises:
        Exception: The first that an attack or the network raises; the other attacks then end.
    """
    waiting, running, turns = deque(attacks), list[_Turn[T]](), list[_Turn[T]]()
    state = _generators()
    try:
        while waiting or running:
            while waiting and len(running) < rows:
                turns.append(_Turn(waiting.popleft(), network))
                running.append(turns[-1])
            for turn in running:
                turn.next()
            running = [turn for turn in running if not turn.ended]
            _answer(network, running, rows)
    finally:
        for turn in running:
            turn.stop()
        _restore(state)
    return [turn.result() for turn in turns]


# ------------------------------------------------------------------------------------------------
# What is asked, and the answer.


class _Pass:
    """A batch that went through the network, to go back through."""

    def __init__(self, network: nn.Module, images: Sequence[Tensor], rows: int) -> None:
        empty = [images[-1]] * (rows - len(images))
        self.images = torch.cat([*images, *empty]).requires_grad_()
        with torch.enable_grad():
            self.logits = network(self.images)

    def back(self, gradients: dict[int, Tensor]) -> dict[int, Tensor]:
        """Gradients of images, (1, 3, H, W) by their row, from those of logits, (1, K)."""
        given = torch.zeros_like(self.logits)
        for row, gradient in gradients.items():
            given[row] = gradient[0]
        found = torch.zeros_like(self.images)
        if self.logits.requires_grad:  # else nothing reaches the images
            (found,) = torch.autograd.grad(self.logits, self.images, given, retain_graph=True)
        return {row: found[row : row + 1] for row in gradients}


class _Question:
    """What a turn waits for: logits of an image; or, with `way`, the gradient of one."""

    def __init__(self, value: Tensor, way: "tuple[_Pass, int] | None" = None) -> None:
        self.value, self.way = value, way
        self.answer: Any = None


def _answer(network: nn.Module, turns: "Sequence[_Turn[Any]]", rows: int) -> None:
    """Answer what is asked: first all gradients, so that next all ask for logits again."""
    asked = [turn.question for turn in turns if turn.question is not None]
    passes: dict[_Pass, list[tuple[int, _Question]]] = {}
    for question in asked:
        if question.way is not None:
            passes.setdefault(question.way[0], []).append((question.way[1], question))
    for gone, gradients in passes.items():
        found = gone.back({row: question.value for row, question in gradients})
        for row, question in gradients:
            question.answer = found[row]
    if passes:
        return
    sizes: dict[torch.Size, list[_Question]] = {}
    for question in asked:
        sizes.setdefault(question.value.shape, []).append(question)
    for alike in sizes.values():
        made = _Pass(network, [question.value for question in alike], rows)
        for row, question in enumerate(alike):
            question.answer = made.logits[row : row + 1].detach().clone(), (made, row)


class _Through(torch.autograd.Function):
    """The network as an attack sees it: a picture there, a gradient back."""

    @staticmethod
    @override
    def forward(ctx: Any, images: Tensor, turn: "_Turn[Any]") -> Tensor:
        logits: Tensor
        logits, ctx.way = turn.ask(images.detach())
        ctx.turn = turn
        return logits

    @staticmethod
    @once_differentiable
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.turn.ask(gradient, ctx.way), None


class _Shared(nn.Module):
    """A network that others use, too."""

    def __init__(self, network: nn.Module, turn: "_Turn[Any]") -> None:
        super().__init__()
        self.network, self._turn = network, turn
        self.train(network.training)

    @override
    def forward(self, images: Tensor) -> Tensor:
        if len(images) != 1:
            logits: Tensor = self.network(images)
            return logits
        found: Tensor = _Through.apply(images, self._turn)
        return found


# ------------------------------------------------------------------------------------------------
# Turns.


class _Stopped(BaseException):
    """Another attack failed, or the run was interrupted."""


class _Turn(Generic[T]):
    """An attack in a thread of its own, which runs only while `next` waits for it."""

    def __init__(self, attack: Callable[[nn.Module], T], network: nn.Module) -> None:
        self.question: _Question | None = None
        self.ended = False
        self._attack, self._network = attack, network
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._stopped = False
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def next(self) -> None:
        """Let it run until it asks or ends, unless it still waits for an answer.

        Raises:
            BaseException: What the attack raised.
        """
        if self.question is not None and self.question.answer is None:
            return
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            raise self._error

    def ask(self, value: Tensor, way: "tuple[_Pass, int] | None" = None) -> Any:
        """In the attack's thread: wait for an answer."""
        self.question, state = _Question(value, way), _generators()
        self._back.release()
        self._go.acquire()
        if self._stopped:
            raise _Stopped
        _restore(state)
        answer, self.question = self.question.answer, None
        return answer

    def stop(self) -> None:
        """End the thread; nothing is left behind."""
        self._stopped = True
        self._go.release()
        self._thread.join()

    def result(self) -> T:
        """What the attack returned."""
        return self._found[0]

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._stopped:
                torch.set_num_threads(self._threads)  # a thread has a number of its own
                self._found.append(self._attack(_Shared(self._network, self)))
        except _Stopped:
            pass
        except BaseException as error:  # it is raised where the attack was asked for
            self._error = error
        self.ended = True
        self.question = None
        self._back.release()


def _generators() -> tuple[Any, Any, Tensor]:
    """Where the global generators of the CPU are."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002


def _restore(state: tuple[Any, Any, Tensor]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    torch.set_rng_state(state[2])
