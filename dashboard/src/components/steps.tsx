/** The step bar, and the weights beside it. */
import { Check, FlaskConical, type LucideIcon, Pause, Route, Ruler, TestTube, UserCheck } from "lucide-preact";
import type { JSX } from "preact";
import { weight as words } from "../lib/format";
import type { Detail, Row, Weight } from "../lib/types";

/** The small bar of the list: done, current and coming steps. */
export const StepDots = ({ row }: { row: Row }): JSX.Element => {
  if (row.stepIndex === null || !row.step) return <span class="muted" aria-label="no release">–</span>;
  return (
    <span class="dots" role="img" aria-label={`step ${row.step}`}>
      {Array.from({ length: row.steps }, (_, index) => (
        <i key={index} data-state={index < row.stepIndex! ? "done" : index === row.stepIndex ? "current" : "todo"} />
      ))}
      <span class="number small muted" aria-hidden="true">{row.step}</span>
    </span>
  );
};

const ICONS: Record<string, LucideIcon> = {
  pause: Pause,
  approval: UserCheck,
  analysis: TestTube,
  experiment: FlaskConical,
  setCanaryScale: Ruler,
  setHeaderRoute: Route,
  setMirrorRoute: Route,
};
const STATES = { done: "done", current: "now", todo: "to come" };

export const StepBar = ({ rollout }: { rollout: Detail }): JSX.Element => (
  <ol class="steps" aria-label={rollout.step ? `steps, ${rollout.step}` : "steps of a release"}>
    {rollout.plan.map((step) => {
      const Icon = ICONS[step.kind];
      return (
        <li key={step.index} data-state={step.state} aria-current={step.state === "current" ? "step" : undefined}>
          <span class="rail" aria-hidden="true" />
          <span class="label">
            {step.state === "done" ? <Check class="icon" aria-hidden="true" /> : Icon && <Icon class="icon" aria-hidden="true" />}
            <span>{step.label}</span>
            <span class="visually-hidden">({STATES[step.state]})</span>
          </span>
        </li>
      );
    })}
  </ol>
);

/** The canary's share: a bar as wide as what was measured (or is in force), a tick where it is configured. */
export const WeightBar = ({ weight }: { weight: Weight }): JSX.Element => {
  const held = weight.actual ?? weight.acknowledged ?? 0;
  const said = `configured ${words(weight.configured)}, in force ${words(weight.acknowledged)}, measured ${words(weight.actual)}`;
  return (
    <span class="weight" role="img" aria-label={said} title={said}>
      <span class="track">
        <span class="fill" style={{ width: `${Math.min(100, held)}%` }} />
        {weight.configured > 0 && <span class="tick" style={{ left: `${Math.min(100, weight.configured)}%` }} />}
      </span>
      <span class="number">{words(weight.configured)}</span>
      {weight.actual !== null && <span class="number small muted">{words(weight.actual)}</span>}
    </span>
  );
};
