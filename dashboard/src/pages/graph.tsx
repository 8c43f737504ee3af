/** Who calls whom: as a picture, and as a table. */
import { signal } from "@preact/signals";
import { Lock, LockOpen, TriangleAlert } from "lucide-preact";
import type { JSX } from "preact";
import { lazy, Suspense } from "preact/compat";
import { HealthIcon } from "../components/health";
import { Waiting } from "../components/waiting";
import { milliseconds, percent, plural, rate, span, weight } from "../lib/format";
import { type Line, linesOf, lineWords, mtlsWords, within } from "../lib/graph";
import { graph as held } from "../lib/live";

const ServiceGraph = lazy(async () => (await import("../charts/graph")).ServiceGraph);

const namespace = signal("");

const Call = ({ line }: { line: Line }): JSX.Element => (
  <tr>
    <td>
      <HealthIcon health={line.health} />
    </td>
    <td>{line.source}</td>
    <td>
      {line.target}
      {line.version && (
        <>
          {" "}
          <b>{line.version}</b>
        </>
      )}
      {line.role && <span class={`small lane-${line.role}`}> {line.role}</span>}
    </td>
    <td class="number">{line.share === null ? "" : weight(line.share * 100)}</td>
    <td class="number">{rate(line.rate)}</td>
    <td class="number">{line.kind === "bypass" ? (line.refused ? `${line.refused} refused` : "–") : percent(line.errorRate)}</td>
    <td class="number">{milliseconds(line.p99Ms)}</td>
    <td class="nowrap">
      {line.kind === "bypass" ? (
        <span title={lineWords(line)}>
          <TriangleAlert class="icon ink-warn" aria-hidden="true" /> past the mesh: {line.words}
        </span>
      ) : (
        <>
          {(line.mtls ?? 0) >= 1 ? <Lock class="icon muted" aria-hidden="true" /> : <LockOpen class={`icon ${line.mtls === null ? "muted" : "ink-warn"}`} aria-hidden="true" />} {mtlsWords(line.mtls)}
        </>
      )}
    </td>
  </tr>
);

export const Calls = ({ lines, caption }: { lines: Line[]; caption: string }): JSX.Element => (
  <div class="scroll" tabIndex={0} role="region" aria-label={caption}>
    <table class="plain">
      <caption class="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          <th scope="col">
            <span class="visually-hidden">Health</span>
          </th>
          <th scope="col">Caller</th>
          <th scope="col">Called</th>
          <th scope="col">Share</th>
          <th scope="col">Requests</th>
          <th scope="col">Errors</th>
          <th scope="col">p99</th>
          <th scope="col">Security</th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <Call key={line.id} line={line} />
        ))}
      </tbody>
    </table>
  </div>
);

const Legend = (): JSX.Element => (
  <ul class="graph-legend small" aria-label="What the lines mean">
    <li>
      <i data-line="good" /> good
    </li>
    <li>
      <i data-line="warn" /> from 0.1 % errors, or slower
    </li>
    <li>
      <i data-line="bad" /> from 5 % errors
    </li>
    <li>
      <i data-line="bypass" /> past the mesh
    </li>
    <li>
      <Lock class="icon" aria-hidden="true" /> mutual TLS
    </li>
  </ul>
);

export const GraphPage = (): JSX.Element => {
  const all = held.value;
  if (all === null) return <Waiting />;
  const namespaces = [...new Set(all.nodes.map((node) => node.namespace).filter(Boolean))].sort();
  const graph = within(all, namespaces.includes(namespace.value) ? namespace.value : "");
  return (
    <>
      <div class="page-head">
        <h1>Service graph</h1>
        <span class="muted">
          {plural(graph.nodes.length, "node")}, {plural(graph.edges.length, "connection")}; the last {span(all.seconds)}
        </span>
        <span class="grow" />
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
      </div>
      {all.problem && (
        <p class="stale-note tone-warn">
          <TriangleAlert class="icon" aria-hidden="true" /> {all.problem}
        </p>
      )}
      {graph.nodes.length === 0 ? (
        !all.problem && (
          <div class="card empty">
            <strong>Nobody has called anybody yet</strong>
            Requests between pods with a sidecar appear here within seconds.
          </div>
        )
      ) : (
        <div class="stack">
          <section class="card" aria-label="Picture">
            <Suspense fallback={<div class="graph" />}>
              <ServiceGraph graph={graph} />
            </Suspense>
            <Legend />
          </section>
          <section class="card" aria-labelledby="calls-title">
            <header>
              <h2 id="calls-title">Calls</h2>
            </header>
            <div class="body">
              <Calls lines={linesOf(graph)} caption="Calls between services" />
            </div>
          </section>
        </div>
      )}
    </>
  );
};
