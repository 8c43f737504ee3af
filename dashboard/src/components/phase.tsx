/** Phases: each has a symbol, a word and a tone, so that none is told by colour alone. */
import {
  Check,
  CircleDashed,
  CircleHelp,
  CirclePause,
  Eye,
  LoaderCircle,
  type LucideIcon,
  OctagonAlert,
  RotateCcw,
  TrendingUp,
  Undo2,
  UserCheck,
} from "lucide-preact";
import type { JSX } from "preact";

interface Shown {
  words: string;
  icon: LucideIcon;
  tone: "good" | "warn" | "bad" | "wait" | "busy" | "idle";
}

export const PHASES: Record<string, Shown> = {
  Initializing: { words: "Initializing", icon: CircleDashed, tone: "idle" },
  Healthy: { words: "Healthy", icon: Check, tone: "good" },
  Starting: { words: "Starting", icon: LoaderCircle, tone: "busy" },
  Progressing: { words: "Progressing", icon: TrendingUp, tone: "busy" },
  Paused: { words: "Paused", icon: CirclePause, tone: "warn" },
  AwaitingApproval: { words: "Awaiting approval", icon: UserCheck, tone: "wait" },
  Inconclusive: { words: "Inconclusive", icon: CircleHelp, tone: "warn" },
  Promoting: { words: "Promoting", icon: TrendingUp, tone: "busy" },
  Watching: { words: "Watching", icon: Eye, tone: "busy" },
  RollingBack: { words: "Rolling back", icon: Undo2, tone: "bad" },
  RolledBack: { words: "Rolled back", icon: RotateCcw, tone: "bad" },
  Stalled: { words: "Stalled", icon: OctagonAlert, tone: "bad" },
};

export const shownPhase = (phase: string): Shown => PHASES[phase] ?? { words: phase || "Unknown", icon: CircleHelp, tone: "idle" };

export const PhaseBadge = ({ phase }: { phase: string }): JSX.Element => {
  const { words, icon: Icon, tone } = shownPhase(phase);
  return (
    <span class={`badge tone-${tone}`}>
      <Icon class="icon" aria-hidden="true" />
      {words}
    </span>
  );
};

const OUTCOMES: Record<string, Shown> = {
  Promoted: { words: "Promoted", icon: Check, tone: "good" },
  Overridden: { words: "Overridden", icon: TrendingUp, tone: "good" },
  RolledBack: { words: "Rolled back", icon: RotateCcw, tone: "bad" },
  Aborted: { words: "Taken back by hand", icon: Undo2, tone: "warn" },
  Superseded: { words: "Superseded", icon: CircleDashed, tone: "idle" },
  Reverted: { words: "Reverted in git", icon: Undo2, tone: "idle" },
};

export const OutcomeBadge = ({ outcome }: { outcome: string }): JSX.Element => {
  const { words, icon: Icon, tone } = OUTCOMES[outcome] ?? { words: outcome, icon: CircleHelp, tone: "idle" };
  return (
    <span class={`badge tone-${tone}`}>
      <Icon class="icon" aria-hidden="true" />
      {words}
    </span>
  );
};
