/** The Kubernetes token: in this tab's memory and session storage only, gone when the tab closes, never sent elsewhere. */
import { signal } from "@preact/signals";

const KEY = "coalmine-token";

const kept = (): string => {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
};

export const token = signal(kept());
/** Whose it is, as the API server says; empty while nobody is signed in. */
export const user = signal("");
/** Set when a page asks for a token: the text says what for. */
export const asking = signal<string | null>(null);

export const signIn = (value: string, name: string): void => {
  token.value = value;
  user.value = name;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // It stays in memory.
  }
};

export const signOut = (): void => {
  token.value = "";
  user.value = "";
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There was none.
  }
};
