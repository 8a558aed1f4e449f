"""How attacks ask a classifier, one or several at once, and what they raise within a budget."""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from typing_extensions import override

from bench.perturb.attacks.base import AttackFacts, LossName, Norm
from bench.perturb.base import ROWS, filled
from bench.util import rng

T = TypeVar("T")

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (N, K), labels (N,)) -> what the attack raises, (N,)."""

_TINY = 1e-12
_DRAWS = 3  # fresh verdicts that must all be wrong before an attack on a noisy classifier ends


class Victim(nn.Module):
    """A classifier under attack: images -> logits, and what was seen of it.

    Where no gradient reaches the images the logits get one of zero, so that an attack goes on, and
    the report can say that it was blind.

    Args:
        target: float32 images (N, 3, H, W) in [0, 1] -> logits (N, K). One that spends only some
            of its steps on a query has a method `whole` that spends all.
        label: The right class.
        stored: Images as they will be stored: rounded, if they are.
        fresh: Whether equal queries differ, because each draws noise anew.
    """

    def __init__(
        self, target: nn.Module, label: int, stored: Callable[[Tensor], Tensor], fresh: bool = False
    ) -> None:
        super().__init__()
        self.target, self.label, self.stored, self.fresh = target, label, stored, fresh
        self.seen = AttackFacts()
        self._first: float | None = None

    def forward(self, images: Tensor, whole: bool = False) -> Tensor:
        """Logits, (N, K).

        Args:
            images: As of the target.
            whole: Spend all steps, as the verdict does.
        """
        wanted = images.requires_grad and torch.is_grad_enabled()
        if wanted:
            images = images.view_as(images)  # whose gradient passes by before that of the leaf
            images.register_hook(self._saw)
        ask = getattr(self.target, "whole", self.target) if whole else self.target
        logits: Tensor = ask(images)
        if wanted and not logits.requires_grad:
            logits = logits.float() + 0.0 * images.sum()
        seen, leads = self.seen, self._leads(logits)
        seen.forwards += 1
        seen.broken += not all(map(math.isfinite, leads))
        if seen.first_hit is None and not all(lead < 0 for lead in leads):
            seen.first_hit = seen.forwards
        if self._first is None:
            self._first = leads[0]
        return logits

    def gradient(
        self, images: Tensor, labels: Tensor, loss: Loss, whole: bool = False, eot: int = 1
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The loss (N,), logits (N, K) and gradient (N, 3, H, W), means over `eot` queries.

        What is NaN or infinite in a gradient is 0.
        """
        losses, answers, found = [], [], []
        for _ in range(eot):
            given = images.detach().requires_grad_()
            with torch.enable_grad():
                logits = self(given, whole)
                value = loss(logits, labels)
                (own,) = torch.autograd.grad(value.sum(), given)
            losses.append(value.detach())
            answers.append(logits.detach())
            found.append(own)
        total = torch.stack(found).mean(0) if eot > 1 else found[0]
        total = torch.nan_to_num(total, nan=0.0, posinf=0.0, neginf=0.0)
        return torch.stack(losses).mean(0), torch.stack(answers).mean(0), total

    @torch.no_grad()
    def wrong(self, image: Tensor) -> bool:
        """Whether the verdict on an image (1, 3, H, W), stored, would be wrong."""
        stored = self.stored(image)
        asked = (self(stored, whole=True) for _ in range(_DRAWS if self.fresh else 1))
        return all(not self._leads(logits)[0] < 0 for logits in asked)

    @torch.no_grad()
    def end(self, image: Tensor) -> None:
        """Ask about the image that the attack returns, as it is stored."""
        seen = self.seen
        kept = seen.forwards, seen.first_hit
        lead = self._leads(self(image, whole=True))[0]
        seen.forwards, seen.first_hit = kept
        seen.believed = not lead < 0
        rise = lead - self._first if self._first is not None else 0.0
        seen.rise = rise if math.isfinite(rise) else None

    def _leads(self, logits: Tensor) -> list[float]:
        """Best wrong logit less the right one, of each picture; NaN where a logit is NaN.

        In Python, which for a single picture takes a fifth of the time of tensors.
        """
        found = []
        for row in logits.detach().tolist():
            unknown = any(map(math.isnan, row))
            right = row.pop(self.label)
            found.append(math.nan if unknown else max(row) - right)
        return found

    def _saw(self, gradient: Tensor) -> None:
        self.seen.gradients += 1
        self.seen.zero += not bool(gradient.any())
        self.seen.broken += not bool(gradient.isfinite().all())


# ------------------------------------------------------------------------------------------------
# Losses.


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p(label)."""
    return nn.functional.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best wrong logit less the right one (Carlini and Wagner 2017, arXiv 1608.04644)."""
    labels = labels.to(logits.device)
    right = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.max(1).values - right


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020, arXiv 2003.01690, eq. 6).

    The margin over the distance of the best logit from the third best, so that the scale of logits
    does not matter. With two classes there is no third, and the ratio would be constant: then it is
    the margin itself.
    """
    if logits.shape[1] < 3:
        return margin(logits, labels)
    best = logits.sort(1, descending=True).values
    return margin(logits, labels) / (best[:, 0] - best[:, 2] + _TINY)


def dlr_towards(target: int) -> Loss:
    """The targeted ratio (eq. 7 there): the target's logit less the right one.

    Over the distance of the best logit from the mean of the third and the fourth; of three classes,
    from the third; of two, undivided.
    """

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        above = logits[:, target] - logits.gather(1, labels[:, None])[:, 0]
        classes = logits.shape[1]
        if classes < 3:
            return above
        best = logits.sort(1, descending=True).values
        low = best[:, 2] if classes == 3 else (best[:, 2] + best[:, 3]) / 2
        return above / (best[:, 0] - low + _TINY)

    return loss


def gap(logits: Tensor, labels: Tensor) -> Tensor:
    """The second best logit less the best, whichever classes these are: 0 where they tie."""
    best = logits.topk(2, dim=1).values
    return best[:, 1] - best[:, 0]


#: By their name in configs.
LOSSES: dict[LossName, Loss] = {"ce": cross_entropy, "dlr": dlr, "margin": margin, "gap": gap}


# ------------------------------------------------------------------------------------------------
# Steps within a budget.


def length(change: Tensor) -> Tensor:
    """L2 length of each change, (N, 1, 1, 1)."""
    return change.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The direction in which a step of length 1 in the norm raises the loss most."""
    if norm == "linf":
        return gradient.sign()
    # Where a loss is saturated the squares of its gradient would be 0.
    scaled = gradient / gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-37)
    return scaled / (length(scaled) + _TINY)


def projected(moved: Tensor, images: Tensor, eps: float, norm: Norm) -> Tensor:
    """`moved` within eps of `images`, and in [0, 1]."""
    change = moved - images
    if norm == "linf":
        change = change.clamp(-eps, eps)
    else:
        change = change * (eps / (length(change) + _TINY)).clamp(max=1.0)
    return (images + change).clamp(0, 1)


def random_start(images: Tensor, eps: float, norm: Norm) -> Tensor:
    """A random place within eps of the images; drawn on the CPU, the same on all devices."""
    draw = torch.empty_like(images, device="cpu")  # in the order of memory of the images
    if norm == "linf":
        change = draw.uniform_(-eps, eps)
    else:
        draw.normal_()
        change = draw / length(draw) * eps * torch.rand(len(draw), 1, 1, 1)
    return (images + change.to(images.device)).clamp(0, 1)


# ------------------------------------------------------------------------------------------------
# Attacks of several pictures whose questions share a batch, though each is written for one.
#
# A network answers eight pictures in two to three times the time of one. An attack asks about one
# picture, and about the next place only when it knows the answer; eight attacks side by side ask
# about eight. Each of them runs in a thread of its own, but never two at once: one runs until it
# asks, then the next, and when all wait, one pass of the network answers them. So an attack stays a
# plain function of one picture, and global random generators are handed over with the turn.
#
#     a: start ... ask |               | go on ... ask |
#     b:               | start ... ask |               | go on ...
#     network:                         ^ answers a, b
#
# A batch always has `rows` rows, some of them empty, and nothing of a row reaches another in a
# network in evaluation mode. So answers do not depend on the neighbours, to the last bit.


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
    state = rng.states()
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
        rng.restore(state)
    return [turn.result() for turn in turns]


class _Pass:
    """A batch that went through the network, to go back through."""

    def __init__(self, network: nn.Module, images: Sequence[Tensor], rows: int) -> None:
        self.images = filled(torch.cat(list(images)), rows).requires_grad_()
        with torch.enable_grad():
            self.logits = getattr(network, "of_prepared", network)(self.images)

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
        # Brought to the network's size here, so that pictures of all sizes share a batch.
        prepare = getattr(self.network, "prepared", None)
        found: Tensor = _Through.apply(images if prepare is None else prepare(images), self._turn)
        return found


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

    def next(self) -> None:
        """Let it run until it asks or ends, unless it still waits for an answer.

        Raises:
            BaseException: What the attack raised.
        """
        if self.question is not None and self.question.answer is None:
            return
        if self._thread.ident is None:  # begun here: then whoever stops all turns knows of it
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            raise self._error

    def ask(self, value: Tensor, way: "tuple[_Pass, int] | None" = None) -> Any:
        """In the attack's thread: wait for an answer."""
        self.question, state = _Question(value, way), rng.states()
        self._back.release()
        self._go.acquire()
        if self._stopped:
            raise _Stopped
        rng.restore(state)
        answer, self.question = self.question.answer, None
        return answer

    def stop(self) -> None:
        """End the thread; nothing is left behind."""
        self._stopped = True
        self._go.release()
        if self._thread.ident is not None:
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
