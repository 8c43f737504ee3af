/** One Rollout: where it is and why, what can be done, and everything that was measured. */
import { ArrowRight, ChevronLeft, CircleAlert, ExternalLink, TriangleAlert } from "lucide-preact";
import type { JSX } from "preact";
import { lazy, Suspense } from "preact/compat";
import { ActionBar, ConfirmDialog, Done } from "../components/actions";
import { ApprovalPanel } from "../components/approval";
import { EvidenceCard } from "../components/evidence";
import { PhaseBadge } from "../components/phase";
import { History, Timeline } from "../components/records";
import { StepBar } from "../components/steps";
import { Waiting } from "../components/waiting";
import { now } from "../lib/clock";
import { span, versionName, weight } from "../lib/format";
import { rollout as held } from "../lib/live";
import type { Detail, RolloutPage } from "../lib/types";

const TrafficChart = lazy(async () => (await import("../charts/traffic")).TrafficChart);
const WeightChart = lazy(async () => (await import("../charts/traffic")).WeightChart);

const SHORTEST = 20;

/** From the release's begin to its end, or until now. */
const rangeOf = (page: RolloutPage): [number, number] => {
  const { release, since } = page.series;
  const times = [...page.series.weights.t, ...page.traffic.stable.t, ...page.traffic.canary.t];
  const newest = Math.max(page.at, ...times.slice(-1));
  const end = Math.max(release?.ended ?? newest, ...Object.values(page.series.evidence).map((one) => one.t.at(-1) ?? 0));
  const begin = since ?? release?.began ?? page.traffic.since ?? newest - 300;
  return [Math.min(begin, end - SHORTEST), end];
};

const Versions = ({ rollout }: { rollout: Detail }): JSX.Element => (
  <span class="versions-big number">
    <span class="lane-stable">{versionName(rollout.stable)}</span>
    {rollout.canary && rollout.canary.revision !== rollout.stable?.revision && (
      <>
        <ArrowRight class="icon muted" aria-label="to" />
        <span class="lane-canary">{versionName(rollout.canary)}</span>
      </>
    )}
  </span>
);

const VERDICTS: Record<string, string> = {
  Promote: "go on",
  Continue: "keep looking",
  RollBack: "take it back",
  NoData: "no data",
  NoBaseline: "nothing to compare with",
  OutlierPod: "one pod differs",
};

const Facts = ({ rollout }: { rollout: Detail }): JSX.Element => {
  const facts: [string, JSX.Element | string][] = [
    ["Canary's share", weight(rollout.weight.configured)],
    ["In force", `${weight(rollout.weight.acknowledged)}${rollout.weight.proxies ? ` · ${rollout.weight.proxies} proxies` : ""}`],
    ["Measured", weight(rollout.weight.actual)],
  ];
  if (rollout.verdict) facts.push(["Verdict", VERDICTS[rollout.verdict] ?? rollout.verdict]);
  if (rollout.startedAt) facts.push(["Under way for", span(now.value - rollout.startedAt)]);
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="number">{value}</dd>
        </div>
      ))}
    </dl>
  );
};

const Notes = ({ rollout }: { rollout: Detail }): JSX.Element | null => {
  const failed = rollout.preflight.filter((one) => one.result !== "Pass" && one.message);
  const notes = [
    ...failed.map((one) => ({ title: `Pre-flight: ${one.check}`, words: one.message })),
    ...rollout.problems.map((words) => ({ title: "Measurement", words })),
    ...(rollout.weight.message ? [{ title: "A proxy refused the weight", words: rollout.weight.message }] : []),
  ];
  if (!notes.length) return null;
  return (
    <ul class="notes tone-warn" aria-label="Warnings">
      {notes.map((note) => (
        <li key={note.title + note.words}>
          <TriangleAlert class="icon" aria-hidden="true" />
          <span>
            <b>{note.title}:</b> {note.words}
          </span>
        </li>
      ))}
    </ul>
  );
};

/** The judge's reason and what is still needed, where the message does not say them already. */
const reasons = ({ message, summary, need }: Detail): string => {
  const parts = [summary, need && `Still needed: ${need}`];
  const news = [summary.replace(/\.$/, ""), need.split(",")[0]!];
  return parts
    .filter((words, index) => words && !message.includes(news[index]!))
    .map((words) => words.replace(/\.?$/, "."))
    .join(" ");
};

const Head = ({ rollout }: { rollout: Detail }): JSX.Element => (
  <section class="card head" aria-label="Where it is">
    <div class="body">
      <div class="title">
        <h1>{rollout.name}</h1>
        <PhaseBadge phase={rollout.phase} />
        <Versions rollout={rollout} />
        <span class="grow" />
        <ActionBar rollout={rollout} />
      </div>
      <p class="message" aria-live="polite">
        {rollout.attention && <CircleAlert class="icon ink-wait" aria-label="needs attention" />} {rollout.message}
      </p>
      {rollout.startedAt !== null && reasons(rollout) && <p class="muted">{reasons(rollout)}</p>}
      <StepBar rollout={rollout} />
      <Facts rollout={rollout} />
      {Object.keys(rollout.links).length > 0 && (
        <p class="links">
          {Object.entries(rollout.links).map(([name, url]) => (
            <a key={name} href={url} rel="noreferrer noopener" target="_blank">
              {name}
              <ExternalLink class="icon" aria-hidden="true" />
            </a>
          ))}
        </p>
      )}
      <Notes rollout={rollout} />
      <Done />
    </div>
  </section>
);

const Measured = ({ page, range }: { page: RolloutPage; range: [number, number] }): JSX.Element => (
  <section class="card" aria-labelledby="traffic-title">
    <header>
      <h2 id="traffic-title">Traffic</h2>
      <span class="legend small" aria-hidden="true">
        <i class="line-stable" /> stable <i class="line-canary" /> canary
      </span>
    </header>
    <div class="body">
      {page.traffic.problem && (
        <p class="notes tone-warn">
          <TriangleAlert class="icon" aria-hidden="true" /> {page.traffic.problem}
        </p>
      )}
      <Suspense fallback={<div class="charts loading" />}>
        <div class="charts">
          <WeightChart weights={page.series.weights} range={range} />
          <TrafficChart kind="rate" traffic={page.traffic} range={range} />
          <TrafficChart kind="errors" traffic={page.traffic} range={range} />
          <TrafficChart kind="p99" traffic={page.traffic} range={range} />
        </div>
      </Suspense>
    </div>
  </section>
);

export const RolloutPageView = ({ namespace, name }: { namespace: string; name: string }): JSX.Element => {
  const page = held.value;
  const crumbs = (
    <nav class="crumbs" aria-label="Where this page is">
      <a href="#/">
        <ChevronLeft class="icon" aria-hidden="true" />
        Rollouts
      </a>
      <span class="muted">{namespace}</span>
    </nav>
  );
  if (page === null) return <>{crumbs}<Waiting /></>;
  if (page === "gone") {
    return (
      <>
        {crumbs}
        <div class="card empty">
          <strong>There is no Rollout {name} in {namespace}</strong>
          It was deleted, or this controller does not watch that namespace.
        </div>
      </>
    );
  }
  const range = rangeOf(page);
  return (
    <>
      {crumbs}
      <div class="stack">
        <Head rollout={page.rollout} />
        <ApprovalPanel rollout={page.rollout} />
        <div class="columns">
          <div class="stack">
            <EvidenceCard page={page} range={range} />
            <Measured page={page} range={range} />
          </div>
          <section class="card aside" aria-labelledby="timeline-title">
            <header>
              <h2 id="timeline-title">Timeline</h2>
            </header>
            <div class="body">
              <Timeline items={page.timeline.items} />
            </div>
          </section>
        </div>
        <section class="card" aria-labelledby="history-title">
          <header>
            <h2 id="history-title">History</h2>
          </header>
          <div class="body">
            <History entries={page.rollout.history} />
          </div>
        </section>
      </div>
      <ConfirmDialog rollout={page.rollout} />
    </>
  );
};
