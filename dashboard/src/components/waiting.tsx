/** In the place of what has not come yet. */
import type { JSX } from "preact";
import { connection, trouble } from "../lib/live";
import { asking } from "../lib/session";

export const Waiting = (): JSX.Element =>
  connection.value === "login" ? (
    <div class="card empty">
      <strong>Who looks here has to sign in</strong>
      <button type="button" class="button primary" onClick={() => (asking.value = "")}>
        Sign in
      </button>
    </div>
  ) : (
    <p class="empty">
      Waiting for the controller …<br />
      {trouble.value}
    </p>
  );
