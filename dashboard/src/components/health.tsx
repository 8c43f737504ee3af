/** Health as a symbol and a colour. */
import { CircleCheck, CircleDashed, OctagonX, TriangleAlert } from "lucide-preact";
import type { JSX } from "preact";
import { HEALTH_WORDS } from "../lib/graph";
import type { Health } from "../lib/types";

const ICONS = { good: CircleCheck, warn: TriangleAlert, bad: OctagonX, idle: CircleDashed };

export const HealthIcon = ({ health }: { health: Health }): JSX.Element => {
  const Icon = ICONS[health];
  return <Icon class={`icon ink-${health}`} role="img" aria-label={HEALTH_WORDS[health]} />;
};
