"""The few kinds of panels that our dashboards have, with the same look everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common as commonbuilders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SOURCE", "board", "chart", "number", "row", "rows_of", "states"]

SOURCE: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
_WHOLE: Final = 24
"""Columns of Grafana's grid."""


def board(uid: str, title: str, text: str, variables: Mapping[str, tuple[str, str]]) -> builders.Dashboard:
    """Return a dashboard without panels.

    Args:
        uid: Stable: links lead there.
        title: Its title.
        text: What it shows.
        variables: Label and query by name, beside the data source.
    """
    made = (
        builders.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags(["coalmine"])
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            builders.DashboardLink("Coalmine")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["coalmine"])
            .as_dropdown(True)  # noqa: FBT003 - the builder's way
            .keep_time(True)  # noqa: FBT003
        )
    )
    for name, (label, query) in variables.items():
        made = made.with_variable(
            builders.QueryVariable(name)
            .label(label)
            .datasource(SOURCE)
            .query(query)
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
            .multi(True)  # noqa: FBT003
            .include_all(True)  # noqa: FBT003
            .all_value(".*")
            .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
        )
    return made


def row(title: str) -> builders.Row:
    """Return the heading of what follows."""
    return builders.Row(title)


def chart(
    title: str,
    text: str,
    unit: str,
    queries: Mapping[str, str],
    *,
    width: int = 8,
    stacked: bool = False,
    log: bool = False,
    line_at: float | None = None,
) -> timeseries.Panel:
    """Return lines over time.

    Args:
        title: What is shown.
        text: How to read it.
        unit: Grafana's name of the unit.
        queries: By the legend of their lines.
        width: Of 24 columns.
        stacked: Whether values are added up.
        log: Whether the axis is logarithmic.
        line_at: Where a dashed red line is drawn.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(8)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            commonbuilders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003
        )
        .tooltip(commonbuilders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    if not log:
        panel = panel.axis_soft_min(0)
    if stacked:
        panel = panel.stacking(commonbuilders.StackingConfig().mode(common.StackingMode.NORMAL))
    if log:
        panel = panel.scale_distribution(
            commonbuilders.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
        )
    if line_at is not None:
        panel = panel.thresholds(_steps([("green", None), ("red", line_at)])).thresholds_style(
            commonbuilders.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED)
        )
    for number_, (legend, expr) in enumerate(queries.items()):
        panel = panel.with_target(_query(expr, chr(ord("A") + number_), legend))
    return panel


def number(
    title: str,
    text: str,
    expr: str,
    *,
    unit: str = "short",
    bad_from: float | None = None,
    bad_below: float | None = None,
) -> stat.Panel:
    """Return one number as large as fits; red from (or below) a value."""
    steps: list[tuple[str, float | None]] = [("green", None)]
    if bad_from is not None:
        steps.append(("red", bad_from))
    if bad_below is not None:
        steps = [("red", None), ("green", bad_below)]
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .datasource(SOURCE)
        .span(4)
        .height(4)
        .thresholds(_steps(steps))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .with_target(_query(expr, "A", "{{outcome}}"))
    )


def states(title: str, text: str, expr: str, legend: str, *, width: int = 24) -> statetimeline.Panel:
    """Return bars over time: when each state held."""
    return (
        statetimeline.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .span(width)
        .height(8)
        .merge_values(True)  # noqa: FBT003
        .row_height(0.8)
        .show_value(common.VisibilityMode.NEVER)
        .with_target(_query(expr, "A", legend))
    )


def rows_of(title: str, text: str, queries: Sequence[str], columns: Mapping[str, str]) -> table.Panel:
    """Return a table: queries joined by the labels that they share.

    Args:
        title: What is shown.
        text: How to read it.
        queries: Instant queries.
        columns: Their headings by field; others are hidden.
    """
    order = {name: place for place, name in enumerate(columns)}
    panel = (
        table.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .span(_WHOLE)
        .height(10)
        .show_header(True)  # noqa: FBT003
        .with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": list(columns)}})
        )
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize", options={"indexByName": order, "renameByName": dict(columns)}
            )
        )
    )
    for place, expr in enumerate(queries):
        panel = panel.with_target(_query(expr, chr(ord("A") + place), "").instant().format(PromQueryFormat.TABLE))
    return panel


def _query(expr: str, ref: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(SOURCE)


def _steps(steps: Sequence[tuple[str, float | None]]) -> builders.ThresholdsConfig:
    made = [dashboard.Threshold(color=color, value=value) for color, value in steps]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)
