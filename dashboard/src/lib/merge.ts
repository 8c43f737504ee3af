/** What a change on the stream does to what a page holds. Pure. */
import type { Column, EvidenceSeries, Lane, RolloutPage, Row, Series, Traffic, WeightSeries } from "./types";

export type RowsEvent =
  | { full: true; version: number; at: number; rollouts: Row[] }
  | { full: false; version: number; at: number; changed: Row[]; removed: string[] };

const keyOf = (row: Row): string => `${row.namespace}/${row.name}`;

export const mergeRows = (held: Row[], event: RowsEvent): Row[] => {
  if (event.full) return event.rollouts;
  const gone = new Set(event.removed);
  const changed = new Map(event.changed.map((row) => [keyOf(row), row]));
  const rows: Row[] = [];
  for (const row of held) {
    const key = keyOf(row);
    const now = changed.get(key);
    changed.delete(key);
    if (!gone.has(key)) rows.push(now ?? row);
  }
  return [...rows, ...changed.values()];
};

type Columns = Record<string, unknown>;

/** Append columns to columns; where the first new time is not after the last one held, the new ones replace from there. */
const appended = <T extends Columns & { t: number[] }>(held: T, more: T): T => {
  const first = more.t[0] ?? Infinity;
  let keep = held.t.length;
  while (keep > 0 && held.t[keep - 1]! >= first) keep -= 1;
  const joined: Columns = { ...held };
  for (const [name, value] of Object.entries(more)) {
    const before = held[name];
    joined[name] =
      Array.isArray(value) && Array.isArray(before) ? [...(before as Column).slice(0, keep), ...(value as Column)] : value;
  }
  return joined as T;
};

const mergeEvidence = (held: Series["evidence"], more: Series["evidence"]): Series["evidence"] => {
  const joined = { ...held };
  for (const [metric, columns] of Object.entries(more)) {
    const before = joined[metric];
    joined[metric] = before
      ? appended(before as EvidenceSeries & Columns, columns as EvidenceSeries & Columns)
      : columns;
  }
  return joined;
};

const mergeTraffic = (held: Traffic, more: Traffic): Traffic => ({
  ...more,
  stable: appended(held.stable as Lane & Columns, more.stable as Lane & Columns),
  canary: appended(held.canary as Lane & Columns, more.canary as Lane & Columns),
});

/** Merge a change of one Rollout; fields that a change leaves out stay as they are. */
export const mergeRollout = (held: RolloutPage, change: Partial<RolloutPage>): RolloutPage => {
  const { timeline, series, traffic } = change;
  const known = new Set(held.timeline.items.map((item) => item.number));
  return {
    at: change.at ?? held.at,
    version: change.version ?? held.version,
    rollout: change.rollout ?? held.rollout,
    timeline: timeline
      ? { since: held.timeline.since, items: [...held.timeline.items, ...timeline.items.filter((item) => !known.has(item.number))] }
      : held.timeline,
    series: series
      ? {
          ...held.series,
          ...series,
          weights: appended(held.series.weights as WeightSeries & Columns, (series.weights ?? { t: [] }) as WeightSeries & Columns),
          evidence: mergeEvidence(held.series.evidence, series.evidence ?? {}),
          decisions: [
            ...held.series.decisions,
            ...(series.decisions ?? []).filter((one) => !held.series.decisions.some((old) => old.at === one.at && old.verdict === one.verdict)),
          ],
        }
      : held.series,
    traffic: traffic ? mergeTraffic(held.traffic, traffic) : held.traffic,
  };
};
