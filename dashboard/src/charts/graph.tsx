/**
 * The service graph. Cytoscape lays it out and draws the lines; what people read, on nodes and lines, is HTML above it:
 * links work, screen readers read, and text is as sharp as elsewhere.
 */
import cytoscape, { type Core, type ElementDefinition } from "cytoscape";
import dagre from "cytoscape-dagre";
import { Lock, LockOpen, Maximize, ShieldOff, ZoomIn, ZoomOut } from "lucide-preact";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { HealthIcon } from "../components/health";
import { milliseconds, percent, rate, weight } from "../lib/format";
import { keyOf, type Line, linesOf, lineWords, mtlsWords, nameOf } from "../lib/graph";
import { colour, theme } from "../lib/theme";
import type { Graph, GraphNode, Health } from "../lib/types";

cytoscape.use(dagre);

const NARROW = 720;
const LARGEST = 1.15;
const TONES: Record<Health, string> = { good: "good-line", warn: "warn-line", bad: "bad", idle: "line-strong" };

const style = (): cytoscape.StylesheetJson => [
  { selector: "node", style: { shape: "round-rectangle", "background-opacity": 0, width: "data(width)", height: "data(height)" } },
  {
    selector: "edge",
    style: {
      "curve-style": "bezier",
      "control-point-step-size": 70,
      "target-arrow-shape": "triangle",
      "arrow-scale": 1.1,
      width: 2,
    },
  },
  ...(Object.keys(TONES) as Health[]).map((health) => ({
    selector: `edge[health = "${health}"]`,
    style: { "line-color": colour(TONES[health]), "target-arrow-color": colour(TONES[health]) },
  })),
  // Not by colour alone: what is wrong is also wider or broken.
  { selector: 'edge[health = "bad"]', style: { width: 4 } },
  { selector: 'edge[health = "warn"]', style: { "line-style": "dashed", "line-dash-pattern": [10, 4], width: 2.5 } },
  { selector: 'edge[kind = "bypass"]', style: { "line-style": "dotted", width: 3, "target-arrow-shape": "vee" } },
];

const Card = ({ node, place }: { node: GraphNode; place: Place | undefined }): JSX.Element => {
  const address = node.rollout?.split("/");
  return (
    <div class="node" data-id={node.id} data-kind={node.kind} data-health={node.health} style={placed(place)}>
      <div class="node-head">
        <HealthIcon health={node.health} />
        <span>
          {address ? <a href={`#/rollouts/${address.map(encodeURIComponent).join("/")}`}>{node.name}</a> : <b>{node.name}</b>}
          <span class="muted small">{node.kind === "service" ? node.namespace : KINDS[node.kind]}</span>
        </span>
        {node.rate > 0 && <span class="number small muted">{rate(node.rate)}</span>}
      </div>
      {node.versions.map((version) => (
        <div class="node-version number" key={keyOf(version)} data-role={version.role}>
          <HealthIcon health={version.health} />
          <span class="version-name">{nameOf(version)}</span>
          {version.role && <span class={`small lane-${version.role}`}>{version.role}</span>}
          <b>{version.share === null ? "–" : weight(version.share * 100)}</b>
        </div>
      ))}
      {node.versions.length > 1 && (
        <div class="share-bar" aria-hidden="true">
          {node.versions.map((version) => (
            <i key={keyOf(version)} data-role={version.role} style={{ flexGrow: version.share ?? 0 }} />
          ))}
        </div>
      )}
    </div>
  );
};

const KINDS = { service: "", workload: "no sidecar", node: "node", address: "outside the cluster" };

const EdgeLabel = ({ line, place }: { line: Line; place: Place | undefined }): JSX.Element => {
  const plain = line.kind === "bypass";
  const open = plain || (line.mtls !== null && line.mtls < 1);
  const Icon = plain ? ShieldOff : line.mtls === null || line.mtls < 1 ? LockOpen : Lock;
  return (
    <div class="edge-label number" data-health={line.health} data-kind={line.kind} style={placed(place)} title={lineWords(line)}>
      <Icon class={`icon ${open ? "ink-warn" : "muted"}`} role="img" aria-label={plain ? "past the mesh" : mtlsWords(line.mtls)} />
      {plain ? (
        <span>past the mesh{line.refused ? `, ${line.refused} refused` : ""}</span>
      ) : (
        <span>
          {line.role === "canary" && <b>canary </b>}
          {line.errorRate !== null && line.errorRate > 0 ? `${percent(line.errorRate)} err` : rate(line.rate)}
          {line.p99Ms !== null && ` · ${milliseconds(line.p99Ms)}`}
        </span>
      )}
    </div>
  );
};

interface Place {
  x: number;
  y: number;
}

const placed = (place: Place | undefined): JSX.CSSProperties =>
  place ? { left: `${place.x}px`, top: `${place.y}px` } : { visibility: "hidden" };

/** What makes a new layout necessary: who is there and how large the cards are, not how they fare. */
const shapeOf = (graph: Graph, lines: Line[], narrow: boolean): string =>
  JSON.stringify([narrow, graph.nodes.map((node) => [node.id, node.versions.map(keyOf)]), lines.map((line) => line.id)]);

const elementsOf = (graph: Graph, lines: Line[], overlay: HTMLElement): ElementDefinition[] => {
  const cards = new Map([...overlay.querySelectorAll<HTMLElement>(".node")].map((card) => [card.dataset["id"]!, card]));
  const nodes = graph.nodes.map((node) => {
    const card = cards.get(node.id);
    return { data: { id: node.id, width: card?.offsetWidth ?? 180, height: card?.offsetHeight ?? 60 } };
  });
  const known = new Set(graph.nodes.map((node) => node.id));
  const edges = lines
    .filter((line) => known.has(line.source) && known.has(line.target))
    .map((line) => ({ data: { id: line.id, source: line.source, target: line.target, health: line.health, kind: line.kind } }));
  return [...nodes, ...edges];
};

export const ServiceGraph = ({ graph }: { graph: Graph }): JSX.Element => {
  const stage = useRef<HTMLDivElement>(null);
  const overlay = useRef<HTMLDivElement>(null);
  const core = useRef<Core | null>(null);
  const [places, setPlaces] = useState<Record<string, Place>>({});
  const [narrow, setNarrow] = useState(innerWidth < NARROW);
  const lines = linesOf(graph);
  const shape = shapeOf(graph, lines, narrow);
  const present = theme.value;

  useLayoutEffect(() => {
    keepStylesOut();
    const made = cytoscape({
      container: stage.current,
      autoungrabify: true,
      boxSelectionEnabled: false,
      userZoomingEnabled: false,
      minZoom: 0.25,
      maxZoom: 1.6,
      style: style(),
    });
    core.current = made;
    const follow = (): void => {
      const { x, y } = made.pan();
      overlay.current!.style.transform = `translate(${x}px, ${y}px) scale(${made.zoom()})`;
    };
    made.on("viewport resize", follow);
    const observer = new ResizeObserver(() => {
      made.resize();
      setNarrow(stage.current!.clientWidth < NARROW);
      fit(made);
    });
    observer.observe(stage.current!);
    return () => {
      observer.disconnect();
      made.destroy();
      core.current = null;
    };
  }, []);

  useLayoutEffect(() => {
    const made = core.current;
    if (!made) return;
    made.elements().remove();
    made.add(elementsOf(graph, lines, overlay.current!));
    made.layout({ name: "dagre", rankDir: narrow ? "TB" : "LR", rankSep: narrow ? 90 : 230, nodeSep: 46, edgeSep: 30, animate: false } as cytoscape.LayoutOptions).run();
    const found: Record<string, Place> = {};
    made.nodes().forEach((node) => {
      found[node.id()] = { ...node.position() };
    });
    made.edges().forEach((edge) => {
      found[edge.id()] = { ...edge.midpoint() };
    });
    setPlaces(found);
    fit(made);
  }, [shape]);

  useEffect(() => {
    core.current?.style(style());
  }, [present]);

  useEffect(() => {
    core.current?.batch(() => {
      for (const line of lines) core.current!.getElementById(line.id).data({ health: line.health, kind: line.kind });
    });
  });

  return (
    <div class="graph" role="group" aria-label="Service graph; the table below says the same">
      <div class="stage" ref={stage} aria-hidden="true" />
      <div class="overlay" ref={overlay}>
        {lines.map((line) => (
          <EdgeLabel key={line.id} line={line} place={places[line.id]} />
        ))}
        {graph.nodes.map((node) => (
          <Card key={node.id} node={node} place={places[node.id]} />
        ))}
      </div>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" class="icon-button" aria-label="zoom in" onClick={() => zoom(core.current, 1.25)}>
          <ZoomIn class="icon" aria-hidden="true" />
        </button>
        <button type="button" class="icon-button" aria-label="zoom out" onClick={() => zoom(core.current, 0.8)}>
          <ZoomOut class="icon" aria-hidden="true" />
        </button>
        <button type="button" class="icon-button" aria-label="show all" onClick={() => core.current && fit(core.current)}>
          <Maximize class="icon" aria-hidden="true" />
        </button>
      </div>
    </div>
  );
};

/** Cytoscape would add a style element, which the page's content security policy refuses; the style sheet has its one rule. */
const keepStylesOut = (): void => {
  const id = "__________cytoscape_stylesheet";
  if (document.getElementById(id)) return;
  const there = document.createElement("template");
  there.id = id;
  document.head.append(there);
};

/** Show all of it, hardly larger than life. */
const fit = (core: Core): void => {
  core.fit(undefined, 28);
  if (core.zoom() > LARGEST) {
    core.zoom(LARGEST);
    core.center();
  }
};

const zoom = (core: Core | null, by: number): void => {
  core?.zoom({ level: core.zoom() * by, renderedPosition: { x: core.width() / 2, y: core.height() / 2 } });
};
