/** What this controller is and has switched on; null until it has answered. */
import { signal } from "@preact/signals";
import { getInfo } from "./api";
import type { Info } from "./types";

export const info = signal<Info | null>(null);

export const loadInfo = (): void => {
  getInfo().then(
    (answer) => (info.value = answer),
    () => undefined, // the stream's state says what is wrong
  );
};
