/** What people can do about a release: always asked back, always with their own token, told why where it cannot be done. */
import { effect, signal } from "@preact/signals";
import {
  FastForward,
  type LucideIcon,
  Pause,
  Play,
  RotateCcw,
  SkipForward,
  ThumbsDown,
  ThumbsUp,
  Undo2,
} from "lucide-preact";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { act, Refusal } from "../lib/api";
import { info } from "../lib/info";
import { asking, token, user } from "../lib/session";
import type { Action, Detail } from "../lib/types";
import { Modal } from "./modal";
import { Problem } from "./token";

const ICONS: Record<string, LucideIcon> = {
  promote: FastForward,
  approve: ThumbsUp,
  reject: ThumbsDown,
  abort: Undo2,
  retry: RotateCcw,
  pause: Pause,
  resume: Play,
  skip: SkipForward,
};
const ORDER = ["pause", "resume", "skip", "promote", "retry", "abort"];
const DANGEROUS = new Set(["abort", "reject"]);
const LONGEST = 500;

/** The action that the open dialog asks about. */
export const chosen = signal<Action | null>(null);
/** What was done last here, for a moment and for screen readers. */
export const done = signal("");

// Who closes the token dialog without a token has thought better of it.
effect(() => {
  if (asking.value === null && !token.value) chosen.value = null;
});

export const ActionButton = ({ action, primary = false }: { action: Action; primary?: boolean }): JSX.Element => {
  const Icon = ICONS[action.action] ?? Play;
  const dangerous = DANGEROUS.has(action.action);
  return (
    <button
      type="button"
      class={`button ${primary ? "primary" : ""} ${dangerous ? "danger" : ""}`}
      data-action={action.action}
      onClick={() => {
        done.value = "";
        if (!token.value) asking.value = `“${action.label}” is done with your own rights: it needs your token.`;
        chosen.value = action;
      }}
    >
      <Icon class="icon" aria-hidden="true" />
      {action.label}
    </button>
  );
};

export const ActionBar = ({ rollout }: { rollout: Detail }): JSX.Element | null => {
  const shown = ORDER.map((name) => rollout.actions.find((one) => one.action === name)).filter((one): one is Action => one?.enabled ?? false);
  if (!shown.length || info.value?.actions === false) return null;
  return (
    <div class="actions" role="group" aria-label="Actions">
      {shown.map((action) => (
        <ActionButton key={action.action} action={action} />
      ))}
    </div>
  );
};

export const Done = (): JSX.Element => (
  <p class={done.value ? "done tone-good" : "visually-hidden"} role="status">
    {done.value}
  </p>
);

/** Asks back, with a comment; it waits behind the token dialog until there is a token. */
export const ConfirmDialog = ({ rollout }: { rollout: Detail }): JSX.Element | null => {
  const action = chosen.value;
  if (action === null || asking.value !== null) return null;
  return <Confirm key={action.action} action={action} rollout={rollout} />;
};

const Confirm = ({ action, rollout }: { action: Action; rollout: Detail }): JSX.Element => {
  const [comment, setComment] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Refusal | null>(null);
  const close = (): void => {
    chosen.value = null;
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await act(rollout.namespace, rollout.name, action.action, comment.trim());
      done.value = `“${action.label}” was asked for; the page shows what becomes of it.`;
      close();
    } catch (error) {
      setProblem(error instanceof Refusal ? error : new Refusal(0, String(error), ""));
      setBusy(false);
    }
  };
  return (
    <Modal title={`${action.label}: ${rollout.namespace}/${rollout.name}`} onClose={close}>
      <form class="form" onSubmit={(event) => void submit(event)}>
        {action.confirm && <p>{action.confirm}</p>}
        <label class="field">
          <span>Comment (optional)</span>
          <textarea
            class="input"
            maxLength={LONGEST}
            autofocus
            value={comment}
            onInput={(event) => setComment(event.currentTarget.value)}
          />
        </label>
        <p class="muted small">
          As <b>{user.value || "the owner of your token"}</b>; the API server's audit log has it.
        </p>
        {problem && <Problem refusal={problem} />}
        {problem?.status === 401 && (
          <button type="button" class="button" onClick={() => (asking.value = "The API server does not know this token any more.")}>
            Use another token
          </button>
        )}
        <div class="buttons">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={`button primary ${DANGEROUS.has(action.action) ? "danger" : ""}`} disabled={busy}>
            {action.label}
          </button>
        </div>
      </form>
    </Modal>
  );
};
