/** From the API's graph to what is drawn: one line for each version that is called. Pure. */
import { milliseconds, percent, rate, weight } from "./format";
import type { Graph, GraphEdge, GraphVersion, Health } from "./types";

/** One drawn line. */
export interface Line {
  id: string;
  source: string;
  target: string;
  kind: "mesh" | "bypass";
  health: Health;
  /** The version that is called, where there are several. */
  version: string;
  role: GraphVersion["role"];
  rate: number;
  share: number | null;
  errorRate: number | null;
  p99Ms: number | null;
  mtls: number | null;
  refused: number;
  words: string;
}

/** What tells the versions of a host apart: requests that reached no pod have a backend and no version. */
export const keyOf = (version: GraphVersion): string => `${version.backend}@${version.version}`;

export const nameOf = (version: GraphVersion): string => version.version || "no pod reached";

const lineOf = (edge: GraphEdge, version: GraphVersion | null): Line => ({
  id: version ? `${edge.id}|${keyOf(version)}` : edge.id,
  source: edge.source,
  target: edge.target,
  kind: edge.kind,
  health: version?.health ?? edge.health,
  version: version ? nameOf(version) : (edge.versions[0]?.version ?? ""),
  role: version?.role ?? "",
  rate: version?.rate ?? edge.rate,
  share: version?.share ?? null,
  errorRate: version ? version.errorRate : edge.errorRate,
  p99Ms: version ? version.p99Ms : edge.p99Ms,
  mtls: edge.mtls,
  refused: edge.refused,
  words: edge.words,
});

export const linesOf = (graph: Graph): Line[] =>
  graph.edges.flatMap((edge) =>
    edge.versions.length > 1 ? edge.versions.map((version) => lineOf(edge, version)) : [lineOf(edge, null)],
  );

/** The part of a graph that has to do with a namespace: its nodes and whom they talk with. */
export const within = (graph: Graph, namespace: string): Graph => {
  if (!namespace) return graph;
  const own = new Set(graph.nodes.filter((node) => node.namespace === namespace).map((node) => node.id));
  const edges = graph.edges.filter((edge) => own.has(edge.source) || own.has(edge.target));
  const seen = new Set([...own, ...edges.flatMap((edge) => [edge.source, edge.target])]);
  return { ...graph, nodes: graph.nodes.filter((node) => seen.has(node.id)), edges };
};

export const HEALTH_WORDS: Record<Health, string> = { good: "good", warn: "degraded", bad: "failing", idle: "idle" };

/** How much of a line is mutual TLS, in words. */
export const mtlsWords = (mtls: number | null): string => {
  if (mtls === null) return "mTLS not seen";
  if (mtls >= 1) return "mTLS";
  return mtls > 0 ? `${percent(mtls, 0)} mTLS` : "plaintext";
};

/** A line in one sentence. */
export const lineWords = (line: Line): string => {
  if (line.kind === "bypass") {
    const refused = line.refused ? `, ${line.refused} connections refused` : "";
    return `${line.source} calls ${line.target} past the mesh: ${rate(line.rate)}${refused}. ${line.words}`;
  }
  const share = line.share === null ? "" : ` (${weight(line.share * 100)})`;
  return (
    `${line.source} calls ${line.target}${line.version ? ` ${line.version}` : ""}${share}: ${HEALTH_WORDS[line.health]}, ` +
    `${rate(line.rate)}, ${percent(line.errorRate)} errors, p99 ${milliseconds(line.p99Ms)}, ${mtlsWords(line.mtls)}`
  );
};
