/** uPlot in a component: it fits its place, follows the theme, and shares its cursor with the page's other charts. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clockOffset } from "../lib/live";
import { colour, theme } from "../lib/theme";

export interface PlotProps {
  /** What the picture shows, for those who do not see it. */
  label: string;
  height: number;
  data: uPlot.AlignedData;
  range: [number, number];
  /** Called once for each theme; what it draws may look at the newest data through its own references. */
  options: () => Omit<uPlot.Options, "width" | "height">;
}

const AXIS_FONT = "11px Inter, system-ui, sans-serif";

export const axes = (values: (value: number) => string): uPlot.Axis[] => {
  const shared = {
    stroke: colour("muted"),
    font: AXIS_FONT,
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  return [
    { ...shared, size: 26, space: 90, grid: { show: false }, values: (_, splits) => splits.map(clock) },
    { ...shared, size: 58, space: 34, values: (_, splits) => splits.map(values) },
  ];
};

const clock = (at: number): string => new Date(at * 1000).toLocaleTimeString("en-GB");

/** The moment now by the server's clock. */
export const serverNow = (): number => Date.now() / 1000 + clockOffset.value;

export const Plot = (props: PlotProps): JSX.Element => {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const held = useRef(props);
  held.current = props;
  const present = theme.value;

  useEffect(() => {
    const element = place.current!;
    const { options, data, height } = held.current;
    const common: Partial<uPlot.Options> = {
      cursor: { sync: { key: "release" }, points: { size: 7 }, y: false, drag: { x: false, y: false } },
      legend: { live: true },
      padding: [10, 14, 0, 0],
    };
    const made = new uPlot(
      { ...common, ...options(), width: Math.max(200, element.clientWidth), height } as uPlot.Options,
      data,
      element,
    );
    plot.current = made;
    made.setScale("x", { min: held.current.range[0], max: held.current.range[1] });
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: held.current.height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [present]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.batch(() => {
      made.setData(props.data, false);
      made.setScale("x", { min: props.range[0], max: props.range[1] });
    });
  }, [props.data, props.range[0], props.range[1]]);

  return <div class="plot" role="img" aria-label={props.label} ref={place} />;
};
