/** What the API answers; docs/dashboard-api.md says what each field means. */

export type Tone = "good" | "busy" | "waiting" | "bad" | "idle";
export type Health = "good" | "warn" | "bad" | "idle";

export interface Version {
  revision: string;
  images: string[];
}

export interface Weight {
  configured: number;
  heldBack: number;
  acknowledged: number | null;
  actual: number | null;
  proxies: string;
  message: string;
}

export interface HistoryEntry {
  namespace: string;
  name: string;
  revision: string;
  images: string[];
  stable: string;
  outcome: string;
  reason: string;
  good: boolean;
  startedAt: number;
  endedAt: number;
  seconds: number;
}

export interface Row {
  namespace: string;
  name: string;
  uid: string;
  phase: string;
  tone: Tone;
  attention: boolean;
  message: string;
  step: string;
  stepIndex: number | null;
  steps: number;
  weight: Weight;
  verdict: string;
  stable: Version | null;
  canary: Version | null;
  startedAt: number | null;
  createdAt: number | null;
  last: HistoryEntry | null;
  paused: boolean;
}

export interface PlanStep {
  index: number;
  kind: string;
  label: string;
  weight: number | null;
  state: "done" | "current" | "todo";
}

export type Scale = "difference" | "ratio" | "value";

export interface Evidence {
  metric: string;
  scale: Scale;
  words: string;
  canary: number | null;
  baseline: number | null;
  canaryCount: number;
  baselineCount: number;
  difference: number | null;
  lower: number | null;
  upper: number | null;
  margin: number | null;
  noise: number | null;
  rollbackE: number;
  rollbackAt: number;
  promoteE: number;
  promoteAt: number;
  burnRate: number | null;
  state: "fine" | "worse" | "open";
}

export interface Decision {
  id: string;
  verdict: string;
  by: string;
  via: string;
  comment: string;
  at: string | number;
}

export interface Approvers {
  users?: string[];
  groups?: string[];
  slackUsers?: string[];
  slackGroups?: string[];
  callers?: string[];
}

/** As status.approval: what has its default may be left out. */
export interface Approval {
  gate: string;
  place?: string;
  message?: string;
  restricted?: boolean;
  approvers?: Approvers | null;
  required?: number;
  missing?: number;
  excludeAuthor?: boolean;
  authors?: string[];
  until?: string | number | null;
  onTimeout?: "RollBack" | "Hold";
  expired?: boolean;
  decisions?: Decision[];
}

export interface Action {
  action: string;
  label: string;
  enabled: boolean;
  reason: string;
  confirm: string;
  verb: string;
}

export interface Detail extends Row {
  workload: string;
  host: string;
  strategy: string;
  plan: PlanStep[];
  stepStartedAt: number | null;
  summary: string;
  need: string;
  problems: string[];
  evidence: Evidence[];
  preflight: { check: string; result: string; message: string }[];
  conditions: { type: string; status: string; reason: string; message: string; at: number | null }[];
  approval: Approval | null;
  actions: Action[];
  history: HistoryEntry[];
  links: Record<string, string>;
}

export interface TimelineItem {
  number: number;
  at: number;
  type: string;
  reason: string;
  note: string;
}

export type Column = (number | null)[];

export interface EvidenceSeries {
  scale: Scale;
  t: number[];
  estimate: Column;
  lower: Column;
  upper: Column;
  margin: Column;
  noise: Column;
  canary: Column;
  baseline: Column;
  rollbackE: Column;
  promoteE: Column;
  rollbackAt: number;
  promoteAt: number;
  crossed: { at: number; towards: "promote" | "rollback" } | null;
}

export interface WeightSeries {
  t: number[];
  configured: Column;
  acknowledged: Column;
  actual: Column;
  step: Column;
}

export interface Series {
  release: { revision: string; began: number | null; ended: number | null; outcome: string } | null;
  since: number | null;
  complete: boolean;
  weights: WeightSeries;
  evidence: Record<string, EvidenceSeries>;
  decisions: { at: number; verdict: string; step: number | null; metric: string | null; words: string }[];
}

export interface Lane {
  t: number[];
  rate: Column;
  errors: Column;
  p50Ms: Column;
  p99Ms: Column;
}

export interface Traffic {
  since: number | null;
  seconds: number;
  problem: string;
  stable: Lane;
  canary: Lane;
}

export interface RolloutPage {
  at: number;
  version: number;
  rollout: Detail;
  timeline: { since: number; items: TimelineItem[] };
  series: Series;
  traffic: Traffic;
}

export interface GraphVersion {
  backend: string;
  version: string;
  role: "stable" | "canary" | "";
  pods: number;
  rate: number;
  share: number | null;
  errorRate: number | null;
  p50Ms: number | null;
  p99Ms: number | null;
  health: Health;
}

export interface GraphNode {
  id: string;
  namespace: string;
  name: string;
  kind: "service" | "workload" | "node" | "address";
  rollout: string | null;
  rate: number;
  errorRate: number | null;
  p99Ms: number | null;
  health: Health;
  versions: GraphVersion[];
}

export interface GraphEdge {
  id: string;
  source: string;
  target: string;
  kind: "mesh" | "bypass";
  rate: number;
  requests: number;
  errorRate: number | null;
  p50Ms: number | null;
  p99Ms: number | null;
  health: Health;
  mtls: number | null;
  refused: number;
  words: string;
  versions: GraphVersion[];
}

export interface Graph {
  at: number;
  seconds: number;
  problem: string;
  nodes: GraphNode[];
  edges: GraphEdge[];
}

export interface Certificate {
  subject: string;
  issuer: string;
  notAfter: number;
  namespace?: string;
  pod?: string;
  status?: string;
}

export interface Mesh {
  at: number;
  problem: string;
  proxies: {
    total: number;
    connected: number;
    synced: number;
    stale: number;
    items: {
      namespace: string;
      pod: string;
      connected: boolean;
      build: string;
      status: string;
      refused: { type: string; name: string; message: string }[];
      ejected: number | null;
    }[];
  };
  certificates: {
    source: string;
    phase: string;
    problem: string;
    issuer: Certificate | null;
    roots: Certificate[];
    workloads: Certificate[];
    soonest: number | null;
  };
  ejections: {
    namespace: string;
    service: string;
    subset: string;
    port: number;
    ejected: number;
    proxies: number;
    total: number;
  }[];
  bypass: GraphEdge[];
}

export interface Info {
  version: string;
  instance: string;
  leads: boolean;
  anonymous: boolean;
  actions: boolean;
  mesh: boolean;
  namespaces: string[];
  links: Record<string, string>;
}

export interface WhoAmI {
  user: string;
  groups: string[];
  may: Record<string, boolean>;
  reason: Record<string, string>;
}
