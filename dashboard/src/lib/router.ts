/** Addresses after the #: they work behind any path prefix and need no rules on the server. */
import { signal } from "@preact/signals";

export type Route =
  | { page: "rollouts" }
  | { page: "rollout"; namespace: string; name: string }
  | { page: "history" }
  | { page: "graph" }
  | { page: "mesh" }
  | { page: "unknown" };

const read = (): Route => {
  const parts = location.hash.replace(/^#\/?/, "").split("?")[0]!.split("/").filter(Boolean).map(decodeURIComponent);
  const [page, namespace, name] = parts;
  if (page === undefined || (page === "rollouts" && parts.length === 1)) return { page: "rollouts" };
  if (page === "rollouts" && namespace && name && parts.length === 3) return { page: "rollout", namespace, name };
  if (parts.length === 1 && (page === "history" || page === "graph" || page === "mesh")) return { page };
  return { page: "unknown" };
};

export const route = signal<Route>(read());

addEventListener("hashchange", () => {
  route.value = read();
  scrollTo(0, 0);
});

export const hrefOf = (namespace: string, name: string): string =>
  `#/rollouts/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
