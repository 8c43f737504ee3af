/** The judge's evidence: one picture at a time, with the words and the two e-values beside it. */
import { signal } from "@preact/signals";
import { CircleCheck, CircleDashed, CircleX } from "lucide-preact";
import type { JSX } from "preact";
import { lazy, Suspense } from "preact/compat";
import { count, milliseconds, percent } from "../lib/format";
import type { Evidence, RolloutPage } from "../lib/types";

const EvidencePicture = lazy(async () => (await import("../charts/evidence")).EvidencePicture);

const STATES = {
  fine: { words: "shown to be fine", icon: CircleCheck, tone: "good" },
  worse: { words: "shown to be worse", icon: CircleX, tone: "bad" },
  open: { words: "still open", icon: CircleDashed, tone: "idle" },
} as const;

const picked = signal("errors");

/** An e-value on its way to where it decides, on a logarithmic scale, as it grows. */
const Towards = (props: { words: string; e: number; at: number; tone: string }): JSX.Element | null => {
  if (!props.at) return null;
  const way = Math.max(0, Math.min(1, Math.log(Math.max(props.e, 1)) / Math.log(props.at)));
  const said = `${props.e.toLocaleString("en", { notation: "compact", maximumSignificantDigits: 3 })} of ${count(props.at)}`;
  return (
    <div class="towards">
      <span>{props.words}</span>
      <span class="number">{said}</span>
      <span class={`bar tone-bar-${props.tone}`} role="meter" aria-label={props.words} aria-valuemin={0} aria-valuemax={1} aria-valuenow={way} aria-valuetext={said}>
        <i style={{ width: `${way * 100}%` }} />
      </span>
    </div>
  );
};

const value = (evidence: Evidence, of: number | null): string => {
  if (of === null) return "–";
  if (evidence.scale === "difference" || evidence.metric.startsWith("slo/")) return percent(of, 2);
  if (evidence.metric === "latency") return milliseconds(of);
  return of.toPrecision(3);
};

const Arms = ({ evidence }: { evidence: Evidence }): JSX.Element => (
  <dl class="arms">
    <div>
      <dt class="lane-stable">Stable</dt>
      <dd class="number">{value(evidence, evidence.baseline)}</dd>
      <dd class="muted small number">{count(evidence.baselineCount)} requests</dd>
    </div>
    <div>
      <dt class="lane-canary">Canary</dt>
      <dd class="number">{value(evidence, evidence.canary)}</dd>
      <dd class="muted small number">{count(evidence.canaryCount)} requests</dd>
    </div>
  </dl>
);

const Words = ({ evidence }: { evidence: Evidence }): JSX.Element => {
  const { words, icon: Icon, tone } = STATES[evidence.state];
  return (
    <div class="evidence-words">
      <span class={`badge tone-${tone}`}>
        <Icon class="icon" aria-hidden="true" />
        {words}
      </span>
      <Arms evidence={evidence} />
      <Towards words="Evidence that it is fine" e={evidence.promoteE} at={evidence.promoteAt} tone="good" />
      <Towards words="Evidence that it is worse" e={evidence.rollbackE} at={evidence.rollbackAt} tone="bad" />
      <p class="small">{evidence.words}</p>
    </div>
  );
};

export const EvidenceCard = ({ page, range }: { page: RolloutPage; range: [number, number] }): JSX.Element | null => {
  const { rollout, series } = page;
  const all = rollout.evidence;
  if (!all.length) return null;
  const evidence = all.find((one) => one.metric === picked.value) ?? all[0]!;
  const columns = series.evidence[evidence.metric];
  const drawn = columns && (columns.lower.some((one) => one !== null) || columns.upper.some((one) => one !== null));
  return (
    <section class="card" aria-labelledby="evidence-title">
      <header>
        <h2 id="evidence-title">Evidence</h2>
        <div class="segments" role="group" aria-label="Metric">
          {all.map((one) => {
            const { icon: Icon, tone, words } = STATES[one.state];
            return (
              <button
                key={one.metric}
                type="button"
                aria-pressed={one.metric === evidence.metric}
                onClick={() => (picked.value = one.metric)}
              >
                <Icon class={`icon ink-${tone}`} aria-label={words} />
                {one.metric}
              </button>
            );
          })}
        </div>
      </header>
      <div class="body evidence">
        <div class="picture">
          {drawn ? (
            <>
              <p class="small muted">
                Canary against stable: where the difference lies, however often one looks. Promotion needs the whole band below the
                margin{evidence.promoteAt > 1 && `, ${percent(1 - 1 / evidence.promoteAt)} sure`}.
              </p>
              <Suspense fallback={<div class="plot" style={{ height: "290px" }} />}>
                <EvidencePicture key={evidence.metric} evidence={evidence} columns={columns} series={series} range={range} />
              </Suspense>
              {!series.complete && <p class="small muted">The controller was restarted meanwhile: the evidence was kept, the drawing of its past was not.</p>}
            </>
          ) : (
            <p class="empty">{evidence.margin === null ? "This metric has no margin: there is no picture of it." : "Not enough requests yet to draw a band."}</p>
          )}
        </div>
        <Words evidence={evidence} />
      </div>
    </section>
  );
};
