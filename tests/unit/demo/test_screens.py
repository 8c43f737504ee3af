"""The live view and the summary, drawn to text."""

from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from coalmine.demo.records import Traffic
from coalmine.demo.releases import BAD_ERRORS, GOOD, GOOD_AGAIN, SLOW, Outcome
from coalmine.demo.report import DemoReport, ReleaseReport
from coalmine.demo.scenes import Commit, Mark, ReleaseLine, Scene
from coalmine.demo.screens import FULL_ROWS, progress, screen
from coalmine.demo.summaries import summary
from rollouts.api.rollout import EvidenceStatus, Phase, RolloutSpec, RolloutStatus


def draw(renderable: RenderableType, width: int = 110) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


WORDS = "canary 5.1 % errors of 1,204 requests, baseline 0.1 % of 10,911; worse by ≥ 3.9 points, 99.5 % confidence at any time"
ERRORS = EvidenceStatus(metric="errors", words=WORDS, rollback_e=34, rollback_at=200, promote_e=0.1, promote_at=20)
GROSS = EvidenceStatus(metric="gross-errors", words="gross words", rollback_e=1, rollback_at=2000)
SCENE = Scene(
    elapsed=75,
    releases=(
        ReleaseLine(GOOD, Mark.DONE, Outcome.PROMOTED, 41.2),
        ReleaseLine(BAD_ERRORS, Mark.RUNNING),
        ReleaseLine(SLOW),
        ReleaseLine(GOOD_AGAIN),
    ),
    spec=RolloutSpec.model_validate({"workloadRef": {"name": "payment"}}),
    rollout=RolloutStatus(
        phase=Phase.PROGRESSING,
        message="judging 10 %",
        step_index=1,
        evidence=(ERRORS, GROSS),
        need="240 more requests",
    ),
    weight_set=50,
    weight_acknowledged=10,
    weight_actual=9.84,
    proxies="1/2",
    stable="v2",
    canary="v3",
    traffic={"v2": Traffic(1800, 0, 180, 22, 34), "v3": Traffic(200, 9, 20, 22, 35)},
    failed_by_us=0,
    requests=14021,
    commits=(Commit("abc1234", "new card terminal", applied=False), Commit("fbc1234", "faster receipts", applied=True)),
    events=("12:00:00 WeightSet: ten",),
    shortened=("min step duration 5s instead of 30s",),
)


@pytest.mark.parametrize(
    "text",
    [
        "promoted in 41 s",
        "must be rolled back",
        "● 10 % ── ◉ 50 % ── ○ 100 % ── ○ promote",
        "set 50 %   at every proxy 10 % (1/2)   actual 9.8 %",
        "4.5%",
        "34/200",
        "0.1/20",
        "worse by ≥ 3.9",
        "still needed: 240 more requests",
        "new card terminal  not applied yet",
        "12:00:00 WeightSet: ten",
        "14,021 requests, 0 failed by us",
        "min step duration 5s instead of 30s",
        "1:15",
    ],
)
def test_the_screen_shows(text: str) -> None:
    assert text in (draw(screen(SCENE)))


def test_a_small_terminal_has_what_matters_in_view() -> None:
    text = draw(screen(SCENE, 24), width=80)
    assert len(text.splitlines()) <= 24
    for part in ("◉ 50 %", "actual 9.8 %", "4.5%", "34/200", "0 failed by us", "min step duration 5s instead of 30s"):
        assert part in " ".join(text.split())


def test_the_full_screen_fits_where_it_is_shown() -> None:
    longest = replace(SCENE, commits=SCENE.commits * 5, events=SCENE.events * 9)
    assert len(draw(screen(longest, FULL_ROWS), width=80).splitlines()) <= FULL_ROWS


def test_gross_guards_show_only_when_they_decide() -> None:
    assert "gross" not in (draw(screen(SCENE)))
    fired = GROSS.model_copy(update={"rollback_e": 2500.0})
    rollout = SCENE.rollout.model_copy(update={"evidence": (ERRORS, fired)})
    assert "gross words" in (draw(screen(replace(SCENE, rollout=rollout))))


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_can_be_drawn_even_with_nothing_known(phase: Phase) -> None:
    assert str(phase) in (draw(screen(Scene(rollout=RolloutStatus(phase=phase))), width=40))


@pytest.mark.parametrize(("share", "filled"), [(-1, 0), (0, 0), (0.5, 5), (1, 10), (7, 10)])
def test_a_bar_is_full_at_one(share: float, filled: int) -> None:
    bar = progress(share, style="red", width=10)
    assert len(bar.plain) == 10
    assert sum(span.end - span.start for span in bar.spans if span.style == "red") == filled


REPORT = ReleaseReport(
    name="bad-errors", version="v3", expected=Outcome.ROLLED_BACK, outcome=Outcome.ROLLED_BACK, reason="too many errors",
    decision_seconds=12.3, rollback_seconds=7.89, weights=(10, 0), actual_share={"10": 9.87}, requests={"v2": 1800, "v3": 200},
    failed={"v2": 0, "v3": 11}, kubectl_exit_code=1, failed_by_us=0,
)  # fmt: skip


def whole(*releases: ReleaseReport, failed_by_us: int = 0, trouble: tuple[str, ...] = ()) -> DemoReport:
    return DemoReport(
        releases=releases, failed_by_us=failed_by_us, trouble=trouble, rate=200, requests=2000, seconds=83
    )


def test_the_summary_has_the_numbers() -> None:
    text = draw(summary(whole(REPORT)))
    for part in (
        "✔ v3 bad-errors",
        "rolled back",
        "10 %: 9.9 %",
        "kubectl: exit 1",
        "12.3 s",
        "7.9 s",
        "200 (11)",
        "too many errors",
        "2,000 requests in 1:23, 0 failed by us",
        "Everything ended as it must.",
    ):
        assert part in text


def test_the_summary_says_what_is_wrong() -> None:
    undecided = REPORT.model_copy(
        update={"outcome": Outcome.UNDECIDED, "kubectl_exit_code": None, "rollback_seconds": None}
    )
    text = draw(summary(whole(undecided, failed_by_us=3, trouble=("mesh died",))))
    for part in ("✘ v3", "undecided", "–", "3 failed by us. Not as it must be.", "mesh died"):
        assert part in text
