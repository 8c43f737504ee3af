/** Requests to the controller. A failed one throws a Refusal with the server's own words. */
import { token } from "./session";
import type { HistoryEntry, Info, WhoAmI } from "./types";

export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fix: string,
  ) {
    super(message);
  }
}

export const headers = (bearer: string = token.value): Record<string, string> =>
  bearer ? { Authorization: `Bearer ${bearer}` } : {};

/** Turn an answer that is no success into a Refusal. */
export const refusalOf = async (answer: Response): Promise<Refusal> => {
  let words: { error?: string; fix?: string } = {};
  try {
    words = (await answer.json()) as typeof words;
  } catch {
    // A proxy in between answered; its status is all there is.
  }
  return new Refusal(answer.status, words.error ?? `the controller answered ${answer.status}`, words.fix ?? "");
};

const request = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
  let answer: Response;
  try {
    answer = await fetch(`api/v1/${path}`, init);
  } catch {
    throw new Refusal(0, "the controller does not answer", "Check that it runs and that this address reaches it.");
  }
  if (!answer.ok) throw await refusalOf(answer);
  return (await answer.json()) as T;
};

export const getInfo = (): Promise<Info> => request("info", { headers: headers() });

export const getHistory = async (): Promise<HistoryEntry[]> =>
  (await request<{ entries: HistoryEntry[] }>("history?limit=200", { headers: headers() })).entries;

export const getWhoAmI = (bearer: string, namespace = "", name = ""): Promise<WhoAmI> =>
  request(`whoami?${new URLSearchParams({ namespace, name })}`, { headers: headers(bearer) });

export const act = (namespace: string, name: string, action: string, comment: string): Promise<unknown> =>
  request(`rollouts/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}/actions/${action}`, {
    method: "POST",
    headers: { ...headers(), "Content-Type": "application/json" },
    body: JSON.stringify(comment ? { comment } : {}),
  });
