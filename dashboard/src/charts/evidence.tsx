/**
 * The evidence as a picture: where the difference between the versions lies, however often one looks.
 *
 * The band closes in as requests come. The release may go on when the whole band is below the margin; it is taken back when
 * the whole band is above what nobody minds.
 */
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import { moment, onScale } from "../lib/format";
import { colour, pale } from "../lib/theme";
import type { Column, Evidence, EvidenceSeries, Scale, Series } from "../lib/types";
import { axes, Plot, serverNow } from "./plot";

export const equalOn = (scale: Scale): number => (scale === "ratio" ? 1 : 0);

/** A vertical line of the picture. */
interface Mark {
  at: number;
  words: string;
  kind: "promote" | "rollback" | "step";
}

const numbers = (column: Column): number[] => column.filter((value): value is number => value !== null);

/**
 * The heights worth drawing: the margin and what the band has come to are always in it; a band that is still wide as a barn
 * in its first moments is cut off rather than make everything else flat.
 */
export const heights = (series: EvidenceSeries): [number, number] => {
  const equal = equalOn(series.scale);
  const margin = series.margin.findLast((value) => value !== null) ?? equal;
  const unit = Math.max(Math.abs(margin - equal), 1e-9);
  const late = (column: Column): number[] => numbers(column.slice(Math.floor(column.length / 4)));
  const seen = [...late(series.upper), ...late(series.lower), ...late(series.estimate)];
  const settled = numbers([series.upper.at(-1) ?? null, series.lower.at(-1) ?? null, series.estimate.at(-1) ?? null]);
  const reach = (values: number[], most: number): number =>
    Math.min(most, Math.max(...values.map((value) => Math.abs(value - equal)), unit * 1.6));
  const far = Math.max(reach(seen, unit * 5), reach(settled, Infinity)) * 1.08;
  const lowest = Math.min(equal - unit * 0.6, ...seen, ...settled);
  return [Math.max(equal - far, lowest - unit * 0.2), equal + far];
};

const marksOf = (metric: string, series: Series, evidence: EvidenceSeries): Mark[] => {
  const marks: Mark[] = [];
  let before: number | null = 0;
  series.weights.t.forEach((at, index) => {
    const configured = series.weights.configured[index] ?? null;
    if (configured !== null && configured !== before && configured > 0) marks.push({ at, words: `${configured} %`, kind: "step" });
    before = configured;
  });
  for (const decision of series.decisions) {
    if (decision.metric !== null && decision.metric !== metric) continue;
    const back = decision.verdict === "RollBack";
    marks.push({ at: decision.at, words: back ? "decided: take it back" : "decided: go on", kind: back ? "rollback" : "promote" });
  }
  const { crossed } = evidence;
  if (crossed && !marks.some((mark) => mark.kind === crossed.towards && Math.abs(mark.at - crossed.at) < 2)) {
    marks.push({ at: crossed.at, words: crossed.towards === "promote" ? "shown to be fine" : "shown to be worse", kind: crossed.towards });
  }
  return marks;
};

const TONES = { promote: "good", rollback: "bad", step: "muted" } as const;

const drawMark = (plot: uPlot, mark: Mark, row: number): void => {
  const { ctx, bbox } = plot;
  const x = Math.round(plot.valToPos(mark.at, "x", true));
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colour(TONES[mark.kind]);
  ctx.fillStyle = ctx.strokeStyle;
  ctx.lineWidth = (mark.kind === "step" ? 1 : 2) * ratio;
  ctx.setLineDash(mark.kind === "step" ? [2 * ratio, 4 * ratio] : []);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.font = `${mark.kind === "step" ? 500 : 650} ${11 * ratio}px Inter, system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  const symbol = { promote: "✓ ", rollback: "✕ ", step: "" }[mark.kind];
  const text = symbol + mark.words;
  const width = ctx.measureText(text).width;
  const right = x + 6 * ratio + width > bbox.left + bbox.width;
  const left = right ? x - 6 * ratio - width : x + 6 * ratio;
  const top = mark.kind === "step" ? bbox.top + bbox.height - 18 * ratio : bbox.top + (4 + row * 17) * ratio;
  ctx.setLineDash([]);
  const ink = ctx.fillStyle;
  ctx.fillStyle = pale("surface", 0.85);
  ctx.fillRect(left - 3 * ratio, top - 2 * ratio, width + 6 * ratio, 15 * ratio);
  ctx.fillStyle = ink;
  ctx.fillText(text, left, top);
  ctx.restore();
};

/** A line across the picture with its name at the left. */
const drawLevel = (plot: uPlot, value: number, words: string, tone: string, strong: boolean): void => {
  const { ctx, bbox } = plot;
  const y = Math.round(plot.valToPos(value, "y", true));
  if (y < bbox.top || y > bbox.top + bbox.height) return;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colour(tone);
  ctx.lineWidth = (strong ? 2 : 1) * ratio;
  ctx.setLineDash(strong ? [7 * ratio, 4 * ratio] : []);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.font = `${strong ? 650 : 500} ${11 * ratio}px Inter, system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "bottom";
  const width = ctx.measureText(words).width;
  ctx.fillStyle = pale("surface", 0.8);
  ctx.fillRect(bbox.left + 6 * ratio, y - 17 * ratio, width + 8 * ratio, 15 * ratio);
  ctx.fillStyle = colour(tone);
  ctx.fillText(words, bbox.left + 10 * ratio, y - 3 * ratio);
  ctx.restore();
};

/** What lies beyond the margin is shaded: the band has to leave it. */
const shade = (plot: uPlot, margin: number): void => {
  const { ctx, bbox } = plot;
  const y = Math.min(bbox.top + bbox.height, Math.max(bbox.top, plot.valToPos(margin, "y", true)));
  ctx.save();
  ctx.fillStyle = pale("bad", 0.06);
  ctx.fillRect(bbox.left, bbox.top, bbox.width, y - bbox.top);
  ctx.restore();
};

export const EvidencePicture = (props: {
  evidence: Evidence;
  columns: EvidenceSeries;
  series: Series;
  range: [number, number];
}): JSX.Element => {
  const { columns, evidence, series } = props;
  const marks = marksOf(evidence.metric, series, columns);
  const shown = useRef({ marks, columns });
  shown.current = { marks, columns };
  const data = useMemo(
    () => [columns.t, columns.lower, columns.upper, columns.estimate] as unknown as uPlot.AlignedData,
    [columns],
  );
  const decided = marks.filter((mark) => mark.kind !== "step").map((mark) => `${mark.words} at ${moment(mark.at, serverNow())}`);
  const value = (_: uPlot, now: number | null): string => onScale(now, columns.scale);
  return (
    <Plot
      label={[evidence.words, ...decided].join(". ")}
      height={290}
      data={data}
      range={props.range}
      options={() => ({
        series: [
          {},
          { label: "at least", stroke: colour("accent"), width: 1, value, points: { show: false } },
          { label: "at most", stroke: colour("accent"), width: 1, value, points: { show: false } },
          { label: "estimate", stroke: colour("accent"), width: 2, value, points: { show: false } },
        ],
        bands: [{ series: [2, 1], fill: pale("accent", 0.2) }],
        axes: axes((now) => onScale(now, columns.scale)),
        scales: { x: { time: true, auto: false }, y: { range: () => heights(shown.current.columns) } },
        hooks: {
          drawAxes: [
            (plot) => {
              const margin = shown.current.columns.margin.findLast((one) => one !== null);
              if (margin !== null && margin !== undefined) shade(plot, margin);
            },
          ],
          draw: [
            (plot) => {
              const { scale, margin: margins } = shown.current.columns;
              const margin = margins.findLast((one) => one !== null);
              drawLevel(plot, equalOn(scale), "equal", "muted", false);
              if (margin !== null && margin !== undefined) {
                drawLevel(plot, margin, `margin ${onScale(margin, scale)}`, "bad", true);
              }
              let row = 0;
              for (const mark of shown.current.marks) drawMark(plot, mark, mark.kind === "step" ? 0 : row++);
            },
          ],
        },
      })}
    />
  );
};
