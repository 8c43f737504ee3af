/** All Rollouts: filter, sort, and see at a glance who waits for whom. */
import { signal, useComputed } from "@preact/signals";
import { ArrowDown, ArrowUp, ChevronRight, CircleAlert, Search } from "lucide-preact";
import type { JSX } from "preact";
import { memo } from "preact/compat";
import { PhaseBadge } from "../components/phase";
import { StepDots, WeightBar } from "../components/steps";
import { Waiting } from "../components/waiting";
import { now } from "../lib/clock";
import { count, plural, span, versionName } from "../lib/format";
import { rows } from "../lib/live";
import { hrefOf } from "../lib/router";
import { changedAt, type Group, GROUPS, matching, type SortKey, sorted } from "../lib/rows";
import type { Row } from "../lib/types";

const text = signal("");
const group = signal<Group | "">("");
const namespace = signal("");
const order = signal<{ key: SortKey; backwards: boolean }>({ key: "phase", backwards: false });

const COLUMNS: { key: SortKey; words: string }[] = [
  { key: "name", words: "Rollout" },
  { key: "phase", words: "Status" },
  { key: "step", words: "Step" },
  { key: "weight", words: "Canary's share" },
  { key: "changed", words: "Changed" },
];

// The text is a signal of its own: the second hand touches 500 texts and renders no row.
const Age = ({ at }: { at: number }): JSX.Element => {
  const words = useComputed(() => (at ? `${span(now.value - at)} ago` : "–"));
  return <span class="number muted">{words}</span>;
};

const Line = memo(({ row }: { row: Row }): JSX.Element => (
  <tr role="row" data-attention={row.attention} data-idle={row.startedAt === null}>
    <td role="cell" class="name">
      <a href={hrefOf(row.namespace, row.name)}>{row.name}</a>
      <span class="muted small">{row.namespace}</span>
    </td>
    <td role="cell" class="phase">
      <PhaseBadge phase={row.phase} />
    </td>
    <td role="cell" class="step">
      <StepDots row={row} />
    </td>
    <td role="cell" class="share">
      {row.startedAt !== null || row.weight.configured > 0 ? <WeightBar weight={row.weight} /> : <span class="muted">–</span>}
    </td>
    <td role="cell" class="changed">
      <Age at={changedAt(row)} />
    </td>
    <td role="cell" class="what">
      <span class="versions number">
        {versionName(row.stable)}
        {row.canary && (
          <>
            {" "}
            <span aria-label="to">→</span> <b>{versionName(row.canary)}</b>
          </>
        )}
      </span>
      <span class="message small muted" title={row.message}>
        {row.attention && <CircleAlert class="icon" aria-label="needs attention" />} {row.message}
      </span>
    </td>
    <td role="cell" class="go" aria-hidden="true">
      <ChevronRight class="icon" />
    </td>
  </tr>
));

const Groups = ({ all }: { all: Row[] }): JSX.Element => (
  <div class="chips" role="group" aria-label="Show only">
    {(Object.keys(GROUPS) as Group[]).map((key) => (
      <button
        key={key}
        type="button"
        class="chip"
        data-group={key}
        aria-pressed={group.value === key}
        onClick={() => (group.value = group.value === key ? "" : key)}
      >
        <b class="number">{count(all.filter(GROUPS[key].of).length)}</b> {GROUPS[key].words}
      </button>
    ))}
  </div>
);

const Filters = ({ all }: { all: Row[] }): JSX.Element => {
  const namespaces = [...new Set(all.map((row) => row.namespace))].sort();
  return (
    <div class="filters">
      <label class="search">
        <Search class="icon" aria-hidden="true" />
        <span class="visually-hidden">Filter by name, status, version or message</span>
        <input
          class="input"
          type="search"
          placeholder="Filter by name, version, message …"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      {namespaces.length > 1 && (
        <label>
          <span class="visually-hidden">Namespace</span>
          <select class="input" value={namespace.value} onChange={(event) => (namespace.value = event.currentTarget.value)}>
            <option value="">All namespaces</option>
            {namespaces.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
      <label class="narrow-only">
        <span class="visually-hidden">Sort by</span>
        <select
          class="input"
          value={order.value.key}
          onChange={(event) => (order.value = { key: event.currentTarget.value as SortKey, backwards: false })}
        >
          {COLUMNS.map(({ key, words }) => (
            <option key={key} value={key}>
              Sort: {words}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
};

const Head = ({ column }: { column: (typeof COLUMNS)[number] }): JSX.Element => {
  const mine = order.value.key === column.key;
  const Icon = order.value.backwards ? ArrowUp : ArrowDown;
  return (
    <th role="columnheader" scope="col" aria-sort={mine ? (order.value.backwards ? "descending" : "ascending") : "none"}>
      <button
        type="button"
        onClick={() => (order.value = { key: column.key, backwards: mine ? !order.value.backwards : false })}
      >
        {column.words}
        {mine && <Icon class="icon" aria-hidden="true" />}
      </button>
    </th>
  );
};

export const RolloutsPage = (): JSX.Element => {
  const all = rows.value;
  if (all === null) return <Waiting />;
  const shown = sorted(matching(all, text.value, group.value, namespace.value), order.value.key, order.value.backwards);
  return (
    <>
      <div class="page-head">
        <h1>Rollouts</h1>
        <Groups all={all} />
      </div>
      <Filters all={all} />
      {all.length === 0 ? (
        <div class="card empty">
          <strong>There is no Rollout yet</strong>
          <code>coalmine init deployment/NAME</code> writes one for a Deployment.
        </div>
      ) : (
        <div class="card table-card">
          <table class="rollouts" role="table">
            <caption class="visually-hidden">Rollouts, {plural(shown.length, "row")}</caption>
            <thead role="rowgroup">
              <tr role="row">
                {COLUMNS.map((column) => (
                  <Head key={column.key} column={column} />
                ))}
                <th role="columnheader" scope="col">
                  Version and what it does
                </th>
                <td role="cell" class="go" />
              </tr>
            </thead>
            <tbody role="rowgroup">
              {shown.map((row) => (
                <Line key={`${row.namespace}/${row.name}`} row={row} />
              ))}
            </tbody>
          </table>
          {shown.length === 0 && (
            <p class="empty">
              <strong>Nothing matches</strong>
              <button
                type="button"
                class="button"
                onClick={() => {
                  text.value = "";
                  group.value = "";
                  namespace.value = "";
                }}
              >
                Show all {count(all.length)}
              </button>
            </p>
          )}
        </div>
      )}
    </>
  );
};
