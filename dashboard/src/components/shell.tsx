/** What is around every page: name, pages, whether what is shown is live, theme, account. */
import { Activity, Bird, History as HistoryIcon, ListChecks, Moon, Sun, TriangleAlert, Waypoints } from "lucide-preact";
import type { ComponentChildren, JSX } from "preact";
import { now } from "../lib/clock";
import { span } from "../lib/format";
import { info } from "../lib/info";
import { connection, heardAt } from "../lib/live";
import { route } from "../lib/router";
import { switchTheme, theme } from "../lib/theme";
import { Account, TokenDialog } from "./token";

const PAGES = [
  { page: "rollouts", href: "#/", words: "Rollouts", icon: ListChecks },
  { page: "history", href: "#/history", words: "History", icon: HistoryIcon },
  { page: "graph", href: "#/graph", words: "Graph", icon: Waypoints },
  { page: "mesh", href: "#/mesh", words: "Mesh", icon: Activity },
];

const STATES = { connecting: "Connecting …", live: "Live", stale: "Not live", login: "Signed out" };

const Live = (): JSX.Element => (
  <span class="live" role="status" data-state={connection.value}>
    {connection.value === "stale" ? <TriangleAlert class="icon" aria-hidden="true" /> : <i class="dot" aria-hidden="true" />}
    {STATES[connection.value]}
  </span>
);

const StaleNote = (): JSX.Element | null => {
  if (connection.value !== "stale") return null;
  void now.value; // the age is renewed every second
  return (
    <p class="stale-note tone-warn">
      <TriangleAlert class="icon" aria-hidden="true" />
      <span>
        The controller has not been heard for <span class="number">{span((Date.now() - heardAt.value) / 1000)}</span>. What you see is
        from before; it is renewed as soon as the controller answers.
      </span>
    </p>
  );
};

export const Shell = ({ children }: { children: ComponentChildren }): JSX.Element => {
  const here = route.value.page === "rollout" ? "rollouts" : route.value.page;
  const dark = theme.value === "dark";
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="#/">
          <Bird class="bird" aria-hidden="true" />
          Coalmine
        </a>
        <nav aria-label="Pages">
          {PAGES.map(({ page, href, words, icon: Icon }) => (
            <a key={page} href={href} aria-current={page === here ? "page" : undefined}>
              <Icon class="icon" aria-hidden="true" />
              {words}
            </a>
          ))}
        </nav>
        <div class="tools">
          <Live />
          <button
            type="button"
            class="icon-button"
            aria-label={dark ? "switch to light colours" : "switch to dark colours"}
            onClick={switchTheme}
          >
            {dark ? <Sun class="icon" aria-hidden="true" /> : <Moon class="icon" aria-hidden="true" />}
          </button>
          <Account />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <StaleNote />
        {children}
      </main>
      {info.value && (
        <footer class="muted small">
          <span>
            Coalmine {info.value.version}, <span class="mono">{info.value.instance}</span>
            {info.value.leads ? " (decides)" : " (stands by)"}
          </span>
          {Object.entries(info.value.links).map(([name, url]) => (
            <a key={name} href={url} rel="noreferrer noopener" target="_blank">
              {name}
            </a>
          ))}
        </footer>
      )}
      <TokenDialog />
    </>
  );
};
