/** Filtering and sorting of the list. Pure. */
import { versionName } from "./format";
import type { Row } from "./types";

export const GROUPS = {
  attention: { words: "Need attention", of: (row: Row): boolean => row.attention },
  moving: {
    words: "Under way",
    of: (row: Row): boolean => row.startedAt !== null || row.phase === "RollingBack",
  },
  failed: { words: "Rolled back", of: (row: Row): boolean => row.phase === "RolledBack" || row.phase === "RollingBack" },
  healthy: { words: "Healthy", of: (row: Row): boolean => row.phase === "Healthy" },
} as const;

export type Group = keyof typeof GROUPS;
export type SortKey = "name" | "phase" | "step" | "weight" | "changed";

const ORDER = [
  "Stalled",
  "AwaitingApproval",
  "Inconclusive",
  "Paused",
  "RollingBack",
  "RolledBack",
  "Progressing",
  "Starting",
  "Promoting",
  "Watching",
  "Initializing",
  "Healthy",
];

/** When something last began or ended; 0 where nothing ever did. */
export const changedAt = (row: Row): number => row.startedAt ?? row.last?.endedAt ?? 0;

const urgency = (row: Row): number => {
  const index = ORDER.indexOf(row.phase);
  return (row.attention ? 0 : 100) + (index < 0 ? ORDER.length : index);
};

const NUMBERS: Record<Exclude<SortKey, "name">, (row: Row) => number> = {
  phase: urgency,
  step: (row) => -(row.stepIndex === null ? -1 : row.stepIndex / Math.max(1, row.steps)),
  weight: (row) => -row.weight.configured,
  changed: (row) => -changedAt(row),
};

export const sorted = (rows: Row[], key: SortKey, backwards: boolean): Row[] => {
  const byName = (a: Row, b: Row): number => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name);
  const compare = key === "name" ? byName : (a: Row, b: Row) => NUMBERS[key](a) - NUMBERS[key](b) || byName(a, b);
  const list = [...rows].sort(compare);
  return backwards ? list.reverse() : list;
};

/** Every word has to be found in the name, the phase, a version or the message. */
export const matching = (rows: Row[], text: string, group: Group | "", namespace: string): Row[] => {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => {
    if (namespace && row.namespace !== namespace) return false;
    if (group && !GROUPS[group].of(row)) return false;
    if (!wanted.length) return true;
    const all = [row.namespace, row.name, row.phase, versionName(row.stable), versionName(row.canary), row.message].join(" ").toLowerCase();
    return wanted.every((word) => all.includes(word));
  });
};
