/** Asks for a Kubernetes token and shows whose it is. */
import { KeyRound, LogOut } from "lucide-preact";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { getWhoAmI, Refusal } from "../lib/api";
import { connection, reconnect } from "../lib/live";
import { asking, signIn, signOut, token, user } from "../lib/session";
import { Modal } from "./modal";

export const Account = (): JSX.Element =>
  token.value ? (
    <button
      type="button"
      class="button quiet account"
      title={`signed in as ${user.value || "…"}; sign out`}
      onClick={() => {
        signOut();
        reconnect();
      }}
    >
      <LogOut class="icon" aria-hidden="true" />
      <span>{user.value || "Sign out"}</span>
      <span class="visually-hidden">: sign out</span>
    </button>
  ) : (
    <button type="button" class="button quiet" onClick={() => (asking.value = "")}>
      <KeyRound class="icon" aria-hidden="true" />
      <span>Sign in</span>
    </button>
  );

export const TokenDialog = (): JSX.Element | null => {
  const [value, setValue] = useState("");
  const [problem, setProblem] = useState<Refusal | null>(null);
  const [busy, setBusy] = useState(false);
  if (asking.value === null) return null;
  const close = (): void => {
    asking.value = null;
    setProblem(null);
    setValue("");
  };
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const { user: name } = await getWhoAmI(value.trim());
      signIn(value.trim(), name);
      close();
      if (connection.value === "login") reconnect();
    } catch (error) {
      setProblem(error instanceof Refusal ? error : new Refusal(0, String(error), ""));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal title="Sign in with a Kubernetes token" onClose={close}>
      {asking.value && <p>{asking.value}</p>}
      <p class="muted">
        What you do here is done with your own rights. The token stays in this tab and goes to this controller only.
      </p>
      <form class="form" onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>Token</span>
          <input
            class="input mono"
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            autofocus
            value={value}
            onInput={(event) => setValue(event.currentTarget.value)}
          />
          <small class="muted">
            For example from <code>kubectl create token NAME -n NAMESPACE</code>
          </small>
        </label>
        {problem && <Problem refusal={problem} />}
        <div class="buttons">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={busy || !value.trim()}>
            Sign in
          </button>
        </div>
      </form>
    </Modal>
  );
};

export const Problem = ({ refusal }: { refusal: Refusal }): JSX.Element => (
  <div class="problem tone-bad" role="alert">
    <strong>{refusal.message}</strong>
    {refusal.fix && <span>{refusal.fix}</span>}
  </div>
);
