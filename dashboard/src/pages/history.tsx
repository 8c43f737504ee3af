/** The releases that ended, of all Rollouts, the newest first. */
import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { History } from "../components/records";
import { Problem } from "../components/token";
import { getHistory, Refusal } from "../lib/api";
import { plural } from "../lib/format";
import { rows } from "../lib/live";
import type { HistoryEntry } from "../lib/types";

const entries = signal<HistoryEntry[] | null>(null);
const problem = signal<Refusal | null>(null);
/** Grows when a release ends: then the list is asked for again. */
const newest = computed(() => Math.max(0, ...(rows.value ?? []).map((row) => row.last?.endedAt ?? 0)));

const load = async (): Promise<void> => {
  try {
    entries.value = await getHistory();
    problem.value = null;
  } catch (error) {
    problem.value = error instanceof Refusal ? error : new Refusal(0, String(error), "");
  }
};

export const HistoryPage = (): JSX.Element => {
  const ended = newest.value;
  useEffect(() => void load(), [ended]);
  const all = entries.value;
  const good = all?.filter((entry) => entry.good).length ?? 0;
  return (
    <>
      <div class="page-head">
        <h1>History</h1>
        {all !== null && all.length > 0 && (
          <span class="muted">
            {plural(all.length, "release")}: {good} stayed, {all.length - good} did not
          </span>
        )}
      </div>
      {problem.value && <Problem refusal={problem.value} />}
      {all === null ? (
        !problem.value && <p class="empty">Waiting for the controller …</p>
      ) : (
        <section class="card" aria-label="Releases that ended">
          <div class="body">
            <History entries={all} named />
          </div>
        </section>
      )}
    </>
  );
};
