"""The dashboard of releases: what runs, how far it is, what the judge has seen, and how the controller fares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tools.grafana.panels import board, chart, number, row, rows_of, states

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

__all__ = ["rollouts"]

_CHOSEN: Final = '{namespace=~"$namespace",rollout=~"$rollout"}'
_BY: Final = "max by (namespace, rollout"
_VERSIONS: Final = (
    'reporter="source",destination_workload_namespace=~"$namespace",destination_workload=~"($rollout)(-canary)?"'
)
_BAD: Final = 'response_code=~"0|5.."'
_CONTROLLER: Final = "and on (job, instance) coalmine_controller_leader"


def _of(metric: str, labels: str = "", **matchers: str) -> str:
    """Return a Rollout's gauge once, also while two replicas tell it."""
    chosen = _CHOSEN[:-1] + "".join(f',{k}="{v}"' for k, v in matchers.items()) + "}"
    return f"{_BY}{labels}) ({metric}{chosen})"


def rollouts() -> Dashboard:
    """Return it."""
    made = board(
        "coalmine-rollouts",
        "Coalmine / Rollouts",
        "Releases: what runs, phases, weights, evidence, decisions; and the controller behind them.",
        {
            "namespace": ("Namespace", "label_values(coalmine_rollout_info, namespace)"),
            "rollout": ("Rollout", 'label_values(coalmine_rollout_info{namespace=~"$namespace"}, rollout)'),
        },
    )
    for part in (_now, _release, _versions, _decisions, _controller):
        made = part(made)
    return made


def _now(made: Dashboard) -> Dashboard:
    stalled = f"count({_of('coalmine_rollout_phase', phase='Stalled')})"
    return (
        made.with_row(row("Now"))
        .with_panel(number("Releases", "Under way at present.", "max(coalmine_controller_releases)"))
        .with_panel(
            number(
                "Wait for people",
                "Releases at an approval.",
                f"count({_of('coalmine_rollout_gate_waiting_seconds')}) or vector(0)",
            )
        )
        .with_panel(number("Stalled", "Something has to be mended by a person.", f"{stalled} or vector(0)", bad_from=1))
        .with_panel(number("Queue", "Rollouts that are to be looked at.", "max(coalmine_controller_queue_depth)"))
        .with_panel(number("Leaders", "One acts; others stand by.", "sum(coalmine_controller_leader)", bad_below=1))
        .with_panel(
            number(
                "Promoted",
                "Of the releases that ended in this time.",
                'sum(increase(coalmine_releases_total{outcome="Promoted"}[$__range])) / '
                "clamp_min(sum(increase(coalmine_releases_total[$__range])), 1)",
                unit="percentunit",
            )
        )
        .with_panel(
            rows_of(
                "Rollouts",
                "Where each one is.",
                [
                    _of("coalmine_rollout_phase", ", phase, state"),
                    _of("coalmine_rollout_info", ", workload, stable, canary"),
                    _of("coalmine_rollout_step"),
                ],
                {
                    "namespace": "Namespace",
                    "rollout": "Rollout",
                    "phase": "Phase",
                    "state": "State",
                    "Value #C": "Step",
                    "workload": "Deployment",
                    "stable": "Stable",
                    "canary": "Canary",
                },
            )
        )
    )


def _release(made: Dashboard) -> Dashboard:
    def evidence(side: str) -> str:
        e, at = (_of(f"coalmine_rollout_evidence_{x}", ", metric", side=side) for x in ("e_value", "threshold"))
        return f"{e} / {at}"

    name = "{{namespace}}/{{rollout}} {{metric}}"
    return (
        made.with_row(row("Release"))
        .with_panel(
            states(
                "Phases",
                "When each Rollout was in which phase.",
                _of("coalmine_rollout_phase", ", phase"),
                "{{namespace}}/{{rollout}} {{phase}}",
                width=12,
            )
        )
        .with_panel(
            states(
                "Verdicts",
                "The judge's answers while a release runs.",
                f"{_of('coalmine_rollout_verdict', ', verdict')} or vector(0)",
                "{{namespace}}/{{rollout}} {{verdict}}",
                width=12,
            )
        )
        .with_panel(
            chart(
                "Canary's share",
                "Configured by the step, acknowledged by every proxy, and measured.",
                "percentunit",
                {"{{namespace}}/{{rollout}} {{kind}}": _of("coalmine_rollout_weight_ratio", ", kind")},
            )
        )
        .with_panel(
            chart(
                "Evidence for a rollback",
                "E-value by its threshold: at the line the release is taken back.",
                "short",
                {name: evidence("rollback")},
                log=True,
                line_at=1,
            )
        )
        .with_panel(
            chart(
                "Evidence for promotion",
                "E-value by its threshold: at the line the metric is shown to be within its margin.",
                "short",
                {name: evidence("promote")},
                log=True,
                line_at=1,
            )
        )
        .with_panel(
            chart(
                "Requests judged",
                "In the present release.",
                "short",
                {"{{namespace}}/{{rollout}} {{version}}": _of("coalmine_rollout_judged_requests", ", version")},
            )
        )
        .with_panel(
            chart(
                "Measurements that could not be used",
                "They are no evidence; status.problems has the words.",
                "short",
                {"{{namespace}}/{{rollout}}": _of("coalmine_rollout_measurement_problems")},
            )
        )
        .with_panel(
            chart(
                "Proxies",
                "Affected by the weight, and those that acknowledged it.",
                "short",
                {"{{namespace}}/{{rollout}} {{state}}": _of("coalmine_rollout_proxies", ", state")},
            )
        )
    )


def _versions(made: Dashboard) -> Dashboard:
    by = "sum by (destination_workload)"
    requests = f"{by} (rate(istio_requests_total{{{_VERSIONS}}}[$__rate_interval]))"
    bad = f"{by} (rate(istio_requests_total{{{_VERSIONS},{_BAD}}}[$__rate_interval]))"
    buckets = (
        f"sum by (le, destination_workload) "
        f"(rate(istio_request_duration_milliseconds_bucket{{{_VERSIONS}}}[$__rate_interval]))"
    )
    name = "{{destination_workload}}"
    return (
        made.with_row(row("Both versions"))
        .with_panel(chart("Requests", "By version, as callers' sidecars count.", "reqps", {name: requests}))
        .with_panel(
            chart(
                "Errors",
                "Share with 5xx or without an answer.",
                "percentunit",
                {name: f"({bad} or {requests} * 0) / {requests}"},
            )
        )
        .with_panel(
            chart(
                "Latency",
                "p99 and p50.",
                "ms",
                {
                    f"p99 {name}": f"histogram_quantile(0.99, {buckets})",
                    f"p50 {name}": f"histogram_quantile(0.5, {buckets})",
                },
            )
        )
    )


def _decisions(made: Dashboard) -> Dashboard:
    return (
        made.with_row(row("Decisions"))
        .with_panel(
            chart(
                "Transitions",
                "By the Event's reason.",
                "short",
                {"{{decision}}": "sum by (decision) (increase(coalmine_decisions_total[$__rate_interval]))"},
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Releases that ended",
                "By outcome.",
                "short",
                {"{{outcome}}": "sum by (outcome) (increase(coalmine_releases_total[$__rate_interval]))"},
                stacked=True,
            )
        )
        .with_panel(
            chart(
                "Waiting for people",
                "How long each gate has waited.",
                "s",
                {"{{namespace}}/{{rollout}}": f"{_of('coalmine_rollout_gate_waiting_seconds')} or vector(0)"},
            )
        )
        .with_panel(
            chart(
                "Hooks",
                "That have not ended.",
                "short",
                {"{{namespace}}/{{rollout}}": f"{_of('coalmine_rollout_hooks_running')} or vector(0)"},
            )
        )
        .with_panel(
            chart(
                "Notifications",
                "Tries to tell of a transition, by what came of them.",
                "ops",
                {
                    "{{sink}} {{result}}": "sum by (sink, result) (rate(coalmine_notifications_total[$__rate_interval])) "
                    "or vector(0)"
                },
            )
        )
        .with_panel(
            chart(
                "Not told yet",
                "Transitions that a sink is owed.",
                "short",
                {"{{sink}}": "max by (sink) (coalmine_notifications_pending) or vector(0)"},
            )
        )
    )


def _quantiles(metric: str, by: str = "") -> dict[str, str]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    buckets = f"sum by ({labels}) (rate({metric}_bucket[$__rate_interval]))"
    return {f"p{q:g}{legend}": f"histogram_quantile({q / 100:g}, {buckets})" for q in (50, 99)}


def _controller(made: Dashboard) -> Dashboard:
    requests = "sum by (verb, code) (rate(coalmine_controller_api_requests_total[$__rate_interval]))"
    return (
        made.with_row(row("Controller"))
        .with_panel(
            chart(
                "Looks",
                "At Rollouts, and those that failed.",
                "ops",
                {
                    "looks": "sum(rate(coalmine_controller_reconcile_duration_seconds_count[$__rate_interval]))",
                    "failed": "sum(rate(coalmine_controller_reconcile_errors_total[$__rate_interval]))",
                },
            )
        )
        .with_panel(
            chart(
                "A look takes",
                "From what is gathered to what is done.",
                "s",
                _quantiles("coalmine_controller_reconcile_duration_seconds"),
            )
        )
        .with_panel(
            chart(
                "A look comes late",
                "By how much it begins later than it was due: the first sign of too much work.",
                "s",
                _quantiles("coalmine_controller_reconcile_lag_seconds"),
            )
        )
        .with_panel(
            chart("Requests to the API server", "0: no answer.", "reqps", {"{{verb}} {{code}}": requests}, stacked=True)
        )
        .with_panel(
            chart(
                "The API server takes",
                "By verb.",
                "s",
                _quantiles("coalmine_controller_api_request_duration_seconds", "verb"),
            )
        )
        .with_panel(chart("Leader", "1: acts; 0: stands by.", "short", {"{{instance}}": "coalmine_controller_leader"}))
        .with_panel(
            chart(
                "CPU",
                "Cores; one is all that a process can use.",
                "short",
                {"{{instance}}": f"rate(process_cpu_seconds_total[$__rate_interval]) {_CONTROLLER}"},
            )
        )
        .with_panel(
            chart("Memory", "Resident.", "bytes", {"{{instance}}": f"process_resident_memory_bytes {_CONTROLLER}"})
        )
        .with_panel(
            chart(
                "Objects in memory",
                "What the watches hold.",
                "short",
                {"{{kind}}": "max by (kind) (coalmine_controller_objects)"},
            )
        )
    )
