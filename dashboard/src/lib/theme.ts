/** Light or dark: the machine's choice until somebody chooses here; the choice is kept in this browser. */
import { signal } from "@preact/signals";

export type Theme = "light" | "dark";
const KEY = "coalmine-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = (): Theme | null => {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null; // storage is forbidden: the machine's choice holds
  }
};

export const theme = signal<Theme>(chosen() ?? (dark.matches ? "dark" : "light"));

export const applyTheme = (): void => {
  document.documentElement.dataset["theme"] = theme.value;
};

dark.addEventListener("change", () => {
  if (chosen() === null) {
    theme.value = dark.matches ? "dark" : "light";
    applyTheme();
  }
});

export const switchTheme = (): void => {
  theme.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // It holds until the page is loaded anew.
  }
  applyTheme();
};

const probe = document.createElement("i");
probe.hidden = true;

/** A colour of the style sheet as it is in the present theme, for what is drawn on a canvas. */
export const colour = (name: string): string => {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};

/** The same, see-through. */
export const pale = (name: string, opacity: number): string =>
  colour(name).replace(/^rgb\((.*)\)$/, (_, parts: string) => `rgba(${parts}, ${opacity})`);
