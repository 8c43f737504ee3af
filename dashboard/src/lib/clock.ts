/** The present moment by the server's clock, renewed every second, for ages and countdowns. */
import { effect, signal } from "@preact/signals";
import { clockOffset } from "./live";

export const now = signal(Date.now() / 1000);

const tick = (): void => {
  now.value = Date.now() / 1000 + clockOffset.value;
};

effect(tick);
setInterval(() => {
  if (document.visibilityState === "visible") tick();
}, 1000);
