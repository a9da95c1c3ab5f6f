// The median with a quarter of the text, half of it, and all: whether more text would raise it.
import { fixed, quantile, svg, whole } from "../dom.js";
import { across, figure, frame, fromZero, path, up, whisker } from "./axes.js";

const PARTS = [1 / 4, 1 / 2, 1];

// Return null where parts of the text were not scored.
export function growthPlot(embedding) {
  const { curve, se } = embedding.reliability;
  if (!Array.isArray(curve) || !curve.every(Number.isFinite)) return null;
  const { sfal_corrected: corrected } = embedding.columns;
  const endless = corrected ? quantile(corrected, 0.5) : NaN;
  const { ticks, part } = fromZero([...curve, curve[2] + 1.96 * (se ?? 0), endless]);
  const x = (i) => across(0.12 + 0.38 * i);
  const counted = embedding.source.n_windows;
  const xTicks = PARTS.map((share, i) => [whole(Math.round(counted * share)), 0.12 + 0.38 * i]);
  const points = curve.map((value, i) => [x(i), up(part(value))]);
  const limit = Number.isFinite(endless) ? [
    svg("line", { class: "curve chance", x1: across(0), x2: across(1), y1: up(part(endless)), y2: up(part(endless)) }),
    svg("text", { class: "name", x: across(0) + 6, y: up(part(endless)) - 6 }, `with endless text ${fixed(endless)}`),
  ] : [];
  const drawing = frame(xTicks, ticks, "windows",
    [limit, svg("path", { class: "curve", d: path(points) }),
      curve.map((value, i) => whisker(x(i), value, i === 2 ? se : NaN, part, "mine"))],
    `Median score with a quarter of the text, half of it, and all: ${curve.map((one) => fixed(one)).join(", ")}`);
  return figure("Growth with the text", "Median score with a quarter of the text, half of it, and all.", drawing);
}
