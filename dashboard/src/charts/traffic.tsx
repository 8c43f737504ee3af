/** Both versions' requests, errors and latency, and the weights, over time. */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { milliseconds, percent, rate, weight } from "../lib/format";
import { colour, pale } from "../lib/theme";
import type { Column, Lane, Traffic, WeightSeries } from "../lib/types";
import { axes, Plot } from "./plot";

const KINDS = {
  rate: { title: "Requests", words: rate, pick: (lane: Lane): Column => lane.rate },
  errors: { title: "Errors", words: (value: number | null) => percent(value, 1), pick: (lane: Lane): Column => lane.errors },
  p99: { title: "Latency p99", words: milliseconds, pick: (lane: Lane): Column => lane.p99Ms },
};

export type Kind = keyof typeof KINDS;

const last = (column: Column): number | null => column.findLast((value) => value !== null) ?? null;

/** The versions as they are drawn everywhere: stable blue and dashed, canary amber and whole. */
const lanes = (words: (value: number | null) => string): uPlot.Series[] => {
  const value = (_: uPlot, now: number | null): string => (now === null ? "–" : words(now));
  return [
    {},
    { label: "stable", stroke: colour("stable"), width: 1.75, dash: [6, 3], value, points: { show: false } },
    { label: "canary", stroke: colour("canary"), width: 2, value, points: { show: false } },
  ];
};

export const TrafficChart = ({ kind, traffic, range }: { kind: Kind; traffic: Traffic; range: [number, number] }): JSX.Element => {
  const { title, words, pick } = KINDS[kind];
  const { stable, canary } = traffic;
  const data = useMemo(
    () => uPlot.join([[stable.t, pick(stable)] as uPlot.AlignedData, [canary.t, pick(canary)] as uPlot.AlignedData]),
    [stable, canary],
  );
  const said = `${title}: stable ${words(last(pick(stable)))}, canary ${words(last(pick(canary)))} now`;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <span class="now number">
          <span class="lane-stable">{words(last(pick(stable)))}</span> <span class="lane-canary">{words(last(pick(canary)))}</span>
        </span>
      </figcaption>
      <Plot
        label={said}
        height={150}
        data={data}
        range={range}
        options={() => ({
          series: lanes(words),
          axes: axes((value) => words(value)),
          scales: {
            x: { time: true, auto: false },
            y: { range: (_, __, max) => [0, kind === "errors" ? Math.max(0.01, (max ?? 0) * 1.15) : Math.max(1, (max ?? 0) * 1.15)] },
          },
        })}
      />
    </figure>
  );
};

/** The last value goes on until now, or until the release ended. */
const held = (weights: WeightSeries, until: number): uPlot.AlignedData => {
  const { t, configured, acknowledged, actual } = weights;
  const goesOn = t.length > 0 && until > t.at(-1)!;
  const on = (column: Column): Column => (goesOn ? [...column, column.at(-1) ?? null] : column);
  return [goesOn ? [...t, until] : t, on(configured), on(acknowledged), on(actual)] as uPlot.AlignedData;
};

export const WeightChart = ({ weights, range }: { weights: WeightSeries; range: [number, number] }): JSX.Element => {
  const data = useMemo(() => held(weights, range[1]), [weights, range[1]]);
  const [configured, actual] = [weights.configured.at(-1) ?? null, weights.actual.at(-1) ?? null];
  return (
    <figure class="chart">
      <figcaption>
        <h3>Canary's share</h3>
        <span class="now number">
          configured {weight(configured)} · <span class="lane-canary">measured {weight(actual)}</span>
        </span>
      </figcaption>
      <Plot
        label={`Canary's share over time: configured ${weight(configured)}, measured ${weight(actual)} now`}
        height={150}
        data={data}
        range={range}
        options={() => {
          const stepped = uPlot.paths.stepped!({ align: 1 });
          const value = (_: uPlot, now: number | null): string => weight(now);
          const points = { show: false };
          return {
            series: [
              {},
              { label: "configured", stroke: colour("text"), width: 1.5, dash: [2, 3], paths: stepped, value, points },
              { label: "in force", stroke: colour("muted"), width: 1.5, paths: stepped, value, points },
              { label: "measured", stroke: colour("canary"), fill: pale("canary", 0.16), width: 2, value, points },
            ],
            axes: axes((now) => `${now} %`),
            scales: { x: { time: true, auto: false }, y: { range: [0, 105] } },
          };
        }}
      />
    </figure>
  );
};
