/** The mesh's health: proxies, certificates, pods that are taken out, and calls that come past it. */
import { CircleCheck, OctagonX, TriangleAlert } from "lucide-preact";
import type { JSX } from "preact";
import { Waiting } from "../components/waiting";
import { now } from "../lib/clock";
import { count, moment, plural, span } from "../lib/format";
import { linesOf } from "../lib/graph";
import { mesh as held } from "../lib/live";
import type { Certificate, Mesh } from "../lib/types";
import { Calls } from "./graph";

const SOON_SECONDS = 3600;
const MOST = 100;

const Tile = (props: { title: string; value: string; words: string; tone: "good" | "warn" | "bad" }): JSX.Element => {
  const Icon = { good: CircleCheck, warn: TriangleAlert, bad: OctagonX }[props.tone];
  return (
    <div class="card tile">
      <h2>{props.title}</h2>
      <p class="tile-value number">
        <Icon class={`icon ink-${props.tone}`} role="img" aria-label={props.tone} /> {props.value}
      </p>
      <p class="muted small">{props.words}</p>
    </div>
  );
};

const Tiles = ({ mesh }: { mesh: Mesh }): JSX.Element => {
  const { proxies, certificates, ejections, bypass } = mesh;
  const away = proxies.total - proxies.connected;
  const left = certificates.soonest === null ? null : certificates.soonest - now.value;
  const soon = left !== null && left < SOON_SECONDS;
  return (
    <div class="tiles">
      <Tile
        title="Proxies in sync"
        value={`${count(proxies.synced)} of ${count(proxies.total)}`}
        words={[away && `${count(away)} not connected`, proxies.stale && `${count(proxies.stale)} behind or refusing`].filter(Boolean).join(", ") || "all have what they should"}
        tone={proxies.stale ? "bad" : away ? "warn" : "good"}
      />
      <Tile
        title="Certificates"
        value={left === null ? "–" : span(left)}
        words={certificates.problem || (left === null ? "none is known" : "until the first one ends; they are renewed well before")}
        tone={certificates.problem || (left !== null && left < 0) ? "bad" : soon ? "warn" : "good"}
      />
      <Tile
        title="Pods taken out"
        value={count(ejections.length)}
        words={ejections.length ? "hosts with pods that outlier detection keeps requests from" : "outlier detection has no pod out"}
        tone={ejections.length ? "warn" : "good"}
      />
      <Tile
        title="Past the mesh"
        value={count(bypass.length)}
        words={bypass.length ? "callers that no release can steer or judge" : "every call comes through a sidecar"}
        tone={bypass.length ? "warn" : "good"}
      />
    </div>
  );
};

const STATUS: Record<string, "good" | "warn" | "bad"> = { SYNCED: "good", STALE: "bad", "NOT SENT": "warn", DISCONNECTED: "warn" };
const STATUS_WORDS: Record<string, string> = {
  SYNCED: "in sync",
  STALE: "behind",
  "NOT SENT": "not sent yet",
  DISCONNECTED: "not connected",
};

const StatusBadge = ({ status }: { status: string }): JSX.Element => {
  const tone = STATUS[status] ?? "warn";
  const Icon = { good: CircleCheck, warn: TriangleAlert, bad: OctagonX }[tone];
  return (
    <span class={`badge tone-${tone}`}>
      <Icon class="icon" aria-hidden="true" />
      {STATUS_WORDS[status] ?? status}
    </span>
  );
};

const Proxies = ({ mesh }: { mesh: Mesh }): JSX.Element => {
  const items = mesh.proxies.items;
  const ends = new Map(mesh.certificates.workloads.map((one) => [`${one.namespace}/${one.pod}`, one.notAfter]));
  return (
    <section class="card" aria-labelledby="proxies-title">
      <header>
        <h2 id="proxies-title">Proxies</h2>
        <span class="muted">{items.length > MOST && `the first ${MOST} of ${count(items.length)}, those that are not well first`}</span>
      </header>
      <div class="body">
        <div class="scroll" tabIndex={0} role="region" aria-label="List of proxies">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Pod</th>
                <th scope="col">Configuration</th>
                <th scope="col">Certificate ends</th>
                <th scope="col">Pods it took out</th>
                <th scope="col">Envoy</th>
              </tr>
            </thead>
            <tbody>
              {items.slice(0, MOST).map((item) => {
                const end = ends.get(`${item.namespace}/${item.pod}`);
                return (
                  <tr key={`${item.namespace}/${item.pod}`}>
                    <td>
                      <b>{item.pod}</b> <span class="muted small">{item.namespace}</span>
                    </td>
                    <td>
                      <StatusBadge status={item.status} />
                      {item.refused.map((one) => (
                        <span key={one.type + one.name} class="refused small">
                          refused {one.type} {one.name}: {one.message}
                        </span>
                      ))}
                    </td>
                    <td class="number nowrap">{end === undefined ? "–" : `in ${span(end - now.value)}`}</td>
                    <td class="number">{item.ejected ?? "–"}</td>
                    <td class="number">{item.build || "–"}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </div>
    </section>
  );
};

const Ejections = ({ mesh }: { mesh: Mesh }): JSX.Element | null =>
  mesh.ejections.length === 0 ? null : (
    <section class="card" aria-labelledby="ejections-title">
      <header>
        <h2 id="ejections-title">Pods taken out by outlier detection</h2>
      </header>
      <div class="body">
        <ul class="plain-list">
          {mesh.ejections.map((one) => (
            <li key={`${one.namespace}/${one.service}/${one.subset}/${one.port}`}>
              <TriangleAlert class="icon ink-warn" aria-hidden="true" />{" "}
              <b>
                {one.namespace}/{one.service}:{one.port}
                {one.subset && ` (${one.subset})`}
              </b>
              : {one.ejected} of {plural(one.total, "pod")}, by {plural(one.proxies, "proxy", "proxies")}
            </li>
          ))}
        </ul>
      </div>
    </section>
  );

const Authority = ({ mesh }: { mesh: Mesh }): JSX.Element => {
  const { certificates } = mesh;
  const line = (name: string, one: Certificate): JSX.Element => (
    <div key={name + one.notAfter}>
      <dt>{name}</dt>
      <dd>
        {one.subject} <span class="muted number">until {new Date(one.notAfter * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}</span>
      </dd>
    </div>
  );
  return (
    <section class="card" aria-labelledby="authority-title">
      <header>
        <h2 id="authority-title">Certificate authority</h2>
        <span class="muted">{[certificates.source, certificates.phase].filter(Boolean).join(", ")}</span>
      </header>
      <div class="body">
        <dl class="authority">
          {certificates.issuer && line("Issuer", certificates.issuer)}
          {certificates.roots.map((root) => line("Root", root))}
          {certificates.soonest !== null && (
            <div>
              <dt>First certificate that ends</dt>
              <dd class="number">{moment(certificates.soonest, now.value)}</dd>
            </div>
          )}
        </dl>
      </div>
    </section>
  );
};

export const MeshPage = (): JSX.Element => {
  const mesh = held.value;
  if (mesh === null) return <Waiting />;
  return (
    <>
      <div class="page-head">
        <h1>Mesh</h1>
      </div>
      {mesh.problem ? (
        <p class="stale-note tone-warn">
          <TriangleAlert class="icon" aria-hidden="true" /> {mesh.problem}
        </p>
      ) : (
        <div class="stack">
          <Tiles mesh={mesh} />
          <Ejections mesh={mesh} />
          {mesh.bypass.length > 0 && (
            <section class="card" aria-labelledby="bypass-title">
              <header>
                <h2 id="bypass-title">Past the mesh</h2>
              </header>
              <div class="body">
                <Calls lines={linesOf({ at: mesh.at, seconds: 0, problem: "", nodes: [], edges: mesh.bypass })} caption="Calls past the mesh" />
              </div>
            </section>
          )}
          <Proxies mesh={mesh} />
          <Authority mesh={mesh} />
        </div>
      )}
    </>
  );
};
