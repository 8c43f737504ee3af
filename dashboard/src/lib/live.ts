/**
 * One stream of server-sent events for what the present page shows, over fetch: EventSource cannot send a token.
 *
 * Nothing heard for a while (the server says something every 15 seconds) means that what is shown may be old: the page says
 * so and goes on trying.
 */
import { signal } from "@preact/signals";
import { createParser } from "eventsource-parser";
import { headers, refusalOf } from "./api";
import { mergeRollout, mergeRows, type RowsEvent } from "./merge";
import { asking, token } from "./session";
import type { Graph, Mesh, RolloutPage, Row } from "./types";

const SILENCE_MS = 20_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

export type Connection = "connecting" | "live" | "stale" | "login";

export const connection = signal<Connection>("connecting");
/** When something was heard last, this browser's clock in milliseconds. */
export const heardAt = signal(0);
/** Why there is no stream, in words; empty while there is one. */
export const trouble = signal("");
/** The server's clock minus this browser's, seconds: ages are right on a machine whose clock is not. */
export const clockOffset = signal(0);

export const rows = signal<Row[] | null>(null);
export const rollout = signal<RolloutPage | "gone" | null>(null);
export const graph = signal<Graph | null>(null);
export const mesh = signal<Mesh | null>(null);

let topics = "";
let running: AbortController | null = null;

/** Follow these topics instead of the ones before. */
export const follow = (wanted: string[]): void => {
  const next = wanted.join(",");
  if (next === topics && running) return;
  if (next !== topics) rollout.value = null;
  topics = next;
  reconnect();
};

/** Begin anew, e.g. with another token. */
export const reconnect = (): void => {
  running?.abort();
  running = new AbortController();
  if (topics) void run(topics, running.signal);
};


const take = (topic: string, text: string): void => {
  const event = JSON.parse(text) as { full: boolean; at?: number; gone?: boolean };
  if (event.at) clockOffset.value = event.at - Date.now() / 1000;
  if (topic === "rollouts") rows.value = mergeRows(rows.value ?? [], event as RowsEvent);
  else if (topic === "graph") graph.value = event as unknown as Graph;
  else if (topic === "mesh") mesh.value = event as unknown as Mesh;
  else if (topics.split(",").includes(topic)) {
    const held = rollout.value;
    if (event.gone) rollout.value = "gone";
    else if (event.full || held === null || held === "gone") rollout.value = event as unknown as RolloutPage;
    else rollout.value = mergeRollout(held, event as unknown as Partial<RolloutPage>);
  }
};

const heard = (): void => {
  heardAt.value = Date.now();
  connection.value = "live";
  trouble.value = "";
};

const run = async (wanted: string, cancelled: AbortSignal): Promise<void> => {
  let wait = FIRST_RETRY_MS;
  if (connection.value !== "stale") connection.value = "connecting";
  while (!cancelled.aborted) {
    try {
      await once(wanted, cancelled, () => {
        wait = FIRST_RETRY_MS;
      });
    } catch {
      if (!cancelled.aborted) trouble.value = "The controller does not answer.";
    }
    if (cancelled.aborted || connection.peek() === ("login" as Connection)) return;
    if (heardAt.value) connection.value = "stale";
    await pause(wait * (0.75 + Math.random() / 2), cancelled);
    wait = Math.min(wait * 2, LAST_RETRY_MS);
  }
};

/** One connection, until it ends or falls silent. */
const once = async (wanted: string, cancelled: AbortSignal, begun: () => void): Promise<void> => {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const answer = await fetch(`api/v1/stream?topics=${encodeURIComponent(wanted)}`, {
      headers: { ...headers(), Accept: "text/event-stream" },
      cache: "no-store",
      signal: AbortSignal.any([cancelled, silence.signal]),
    });
    if (answer.status === 401 || answer.status === 403) {
      const refusal = await refusalOf(answer);
      connection.value = "login";
      asking.value = token.value ? refusal.message : "This dashboard shows nothing without a token.";
      return;
    }
    if (!answer.ok || !answer.body) {
      trouble.value = (await refusalOf(answer)).message;
      return;
    }
    const parser = createParser({ onEvent: ({ event, data }) => take(event ?? "", data) });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      begun();
      parser.feed(value);
      heard();
    }
  } finally {
    clearTimeout(timer);
  }
};

const pause = (milliseconds: number, cancelled: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    cancelled.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

// A laptop that wakes, or a network that comes back, need not wait for the next try.
addEventListener("online", () => reconnect());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && connection.value === "stale") reconnect();
});
