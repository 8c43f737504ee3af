"""One Rollout on a terminal: where it is, step bar, weights, verdict and evidence, and its objects as a tree. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coalmine.people.paint import cut, length, tone_style, wrap
from rollouts.views.looks import StepState, Tone, Waits
from rollouts.views.parts import weight_words
from rollouts.views.words import age

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coalmine.people.paint import Line
    from rollouts.views.parts import EvidenceView
    from rollouts.views.release import Release
    from rollouts.views.tree import Node

__all__ = ["MOST_PODS", "screen", "tree_lines"]

MOST_PODS: Final = 8
"""Of one ReplicaSet; the others are counted."""
_INDENT: Final = 12
_BAR: Final = 40
_SMALL: Final = 8
_GAPS: Final = 8
"""Between the columns of the tree, with the symbol."""
_LEAST_NAME: Final = 30
_STEP_STYLE: Final = {
    StepState.DONE: "green",
    StepState.NOW: "bold cyan",
    StepState.FAILED: "bold red",
    StepState.TO_COME: "dim",
}


def screen(release: Release, nodes: Sequence[Node], width: int, now: float) -> list[Line]:
    """Draw a Rollout.

    Args:
        release: What is seen of it.
        nodes: Its Deployments with what they own.
        width: Of the terminal; 0 for any.
        now: Unix seconds.
    """
    lines = [*_head(release, width, now), [], *_body(release, width)]
    if nodes:
        lines += [[], *tree_lines(nodes, width)]
    return [cut(line, width) for line in lines]


def _head(r: Release, width: int, now: float) -> Iterator[Line]:
    place = f", step {r.step.replace('/', ' of ')}" if r.step else ""
    left: Line = [
        (f"{r.look.symbol} ", tone_style(r.look.tone)),
        (r.name, "bold"),
        ("  ", ""),
        (r.look.title + place, f"bold {tone_style(r.look.tone)}".strip()),
    ]
    since = f" · {age(now - r.started)}" if r.started and r.under_way else ""
    right = f"{r.namespace}{since}"
    gap = max(2, width - length(left) - len(right)) if width else 2
    yield [*left, (" " * gap, ""), (right, "dim")]
    if r.message:
        yield from wrap(r.message, "", width, 2)


def _body(r: Release, width: int) -> Iterator[Line]:
    yield from _row("Version", [_versions(r)])
    if r.steps:
        yield from _row("Steps", _step_lines(r, width))
    if r.under_way or r.weights.configured:
        yield from _row("Weight", _weight_lines(r, width))
    if r.verdict and r.under_way:
        yield from _row("Verdict", _verdict_lines(r, width))
    shown = [e for e in r.evidence if not e.guard or e.tone is Tone.BAD]
    if shown and (r.under_way or r.phase == "RolledBack"):
        size = max(len(e.metric) for e in shown)
        yield from _row("Evidence", [line for e in shown for line in _evidence_lines(e, size, width)])
    if r.approval is not None and (text := r.approval.raw.get("summary") or r.approval.message):
        yield from _row("Asked", _wrapped(text, "yellow", width))
    if r.problems:
        yield from _row("Problems", [line for p in r.problems for line in _wrapped(p, "yellow", width)])
    if r.waits in {Waits.PEOPLE, Waits.GIT, Waits.FIX}:
        yield from _row("Waits for", [[(str(r.waits), "yellow")]])


def _row(title: str, lines: Sequence[Line]) -> Iterator[Line]:
    """Return lines with a title before the first."""
    for number, line in enumerate(lines):
        yield [
            (f"  {title}" if not number else "", "dim"),
            (" " * (_INDENT - (len(title) + 2 if not number else 0)), ""),
            *line,
        ]


def _wrapped(text: str, style: str, width: int) -> list[Line]:
    return wrap(text, style, width - _INDENT if width else 0, 0)


def _versions(r: Release) -> Line:
    stable = (r.stable.words or "none yet", "")
    if not r.canary.revision or r.canary.revision == r.stable.revision:
        return [stable]
    style = "red" if r.look.tone is Tone.BAD else "cyan"
    return [stable, ("  →  ", "dim"), (r.canary.words, style), (f"  revision {r.canary.revision}", "dim")]


def _step_lines(r: Release, width: int) -> list[Line]:
    lines: list[Line] = [[]]
    for view in r.steps:
        span = (f"{view.symbol} {view.step.label}", _STEP_STYLE[view.state])
        if width and lines[-1] and _INDENT + length(lines[-1]) + 2 + len(span[0]) > width:
            lines.append([])
        lines[-1] += [("  ", ""), span] if lines[-1] else [span]
    return lines


def _weight_lines(r: Release, width: int) -> list[Line]:
    w = r.weights
    cells = min(_BAR, width - _INDENT - 2) if width else _BAR
    held = round(cells * (w.acknowledged or 0) / 100)
    coming = round(cells * w.configured / 100)
    filled, moving = min(held, coming), abs(coming - held)
    bar: Line = [("█" * filled, "cyan"), ("▒" * moving, "yellow"), ("░" * (cells - filled - moving), "dim")]
    lines = [bar, *_wrapped(weight_words(w), "", width)]
    return lines + (_wrapped(f"a proxy says: {w.message}", "red", width) if w.message else [])


def _verdict_lines(r: Release, width: int) -> list[Line]:
    style = {"Promote": "green", "RollBack": "red"}.get(r.verdict, "")
    said = r.message + r.summary  # what one of them has said is not said again
    words = f"{r.verdict}: {r.summary}" if r.summary and r.summary.rstrip(".") not in r.message else r.verdict
    missing = _wrapped(f"needs {r.need}", "dim", width) if r.need and r.need.split(", ")[0] not in said else []
    return _wrapped(words, style, width) + missing


def _evidence_lines(e: EvidenceView, size: int, width: int) -> list[Line]:
    symbol, style = {Tone.GOOD: ("✔", "green"), Tone.BAD: ("✖", "red")}.get(e.tone, ("·", "dim"))
    against = (e.for_rollback or 0.0) > (e.for_promotion or 0.0)
    way = (e.for_rollback if against else e.for_promotion) or 0.0
    cells = max(1, round(way * _SMALL)) if way else 0
    bar: Line = [("▰" * cells, "red" if against else "green"), ("▱" * (_SMALL - cells), "dim")]
    head: Line = [(f"{symbol} ", style), (e.metric.ljust(size), ""), ("  ", ""), *bar, ("  ", "")]
    first, *rest = wrap(e.words, "", width - _INDENT if width else 0, length(head))
    return [[*head, first[1]], *rest]


def tree_lines(nodes: Sequence[Node], width: int) -> list[Line]:
    """Draw objects below each other, the columns in line."""
    rows = [row for node in nodes for row in _rows(node, "  ", "  ")]
    names = max(len(prefix) + len(node.kind) + 1 + len(node.name) for prefix, node in rows)
    texts, tags = max(len(_words(node)) for _, node in rows), max(len(node.images) for _, node in rows)
    others = _GAPS + texts + tags + max(len(node.age) for _, node in rows)
    if width:
        names = min(names, max(_LEAST_NAME, width - others))
    aged = not width or names + others <= width  # a column that would be cut says nothing
    return [_tree_line(prefix, node, names, texts, tags if aged else None) for prefix, node in rows]


def _rows(node: Node, prefix: str, below: str) -> Iterator[tuple[str, Node]]:
    yield prefix, node
    children = _few(node)
    for number, child in enumerate(children):
        last = number == len(children) - 1
        yield from _rows(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _few(node: Node) -> tuple[Node, ...]:
    """Return a node's children: of many pods those that are not well first, and how many more there are."""
    pods = node.children
    if node.kind != "ReplicaSet" or len(pods) <= MOST_PODS:
        return pods
    from rollouts.views.tree import Node as Kind  # noqa: PLC0415 - only a type everywhere else

    ranked = sorted(pods, key=lambda p: (p.tone is not Tone.BAD, p.tone is Tone.GOOD))
    rest = ranked[MOST_PODS:]
    well = sum(p.tone is Tone.GOOD for p in rest)
    return (*ranked[:MOST_PODS], Kind("", f"and {len(rest)} pods more", "…", Tone.IDLE, words=f"{well} well"))


def _words(node: Node) -> str:
    return ", ".join(part for part in (node.role, node.words) if part)


def _tree_line(prefix: str, node: Node, names: int, texts: int, tags: int | None) -> Line:
    """Return one object's line; without its age where there is no room for a column of image tags (``tags``) and one of ages."""
    kind = f"{node.kind} " if node.kind else ""
    room = names - len(prefix) - len(kind)
    name = node.name if len(node.name) <= room else f"{node.name[: max(1, room - 1)]}…"
    style = "bold" if node.kind == "Deployment" else ""
    return [
        (prefix, "dim"),
        (kind, "dim"),
        (name, style),
        (" " * max(0, room - len(name)) + "  ", ""),
        (f"{node.symbol} ", tone_style(node.tone)),
        (_words(node).ljust(texts + 2), tone_style(node.tone) if node.tone is Tone.BAD else ""),
        (node.images.ljust(tags + 2 if tags is not None else 0), "cyan" if node.role == "canary" else ""),
        (node.age if tags is not None else "", "dim"),
    ]
