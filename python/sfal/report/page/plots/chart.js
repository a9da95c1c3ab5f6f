// Small drawings: a histogram in a row, and a score with its interval.
import { fixed, svg } from "../dom.js";

export function histogram(values, { low = -0.2, high = 1, bins = 30 } = {}) {
  const counts = new Array(bins).fill(0);
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    const at = Math.floor(((value - low) / (high - low)) * bins);
    counts[Math.max(0, Math.min(bins - 1, at))] += 1;
  }
  const top = Math.max(1, ...counts);
  const bars = counts.map((count, i) => {
    const height = count ? Math.max(1, (count / top) * 24) : 0;
    return svg("rect", { x: i * 4, y: 26 - height, width: 3, height, class: "bar-fill" });
  });
  const zero = (-low / (high - low)) * bins * 4 - 0.5;
  return svg(
    "svg",
    { viewBox: `0 0 ${bins * 4} 30`, width: bins * 4, height: 30, role: "img", class: "histogram",
      "aria-label": `Histogram of the scores from ${fixed(low, 1)} to ${fixed(high, 1)}` },
    svg("line", { x1: zero, x2: zero, y1: 0, y2: 30, class: "axis" }),
    bars,
  );
}

// The scale runs from -0.2 to 1; the mark at 0 is chance.
export function interval(value, low, high) {
  const x = (score) => 4 + ((Math.max(-0.2, Math.min(1, score)) + 0.2) / 1.2) * 232;
  const known = Number.isFinite(low) && Number.isFinite(high);
  return svg(
    "svg",
    { viewBox: "0 0 240 18", class: "interval", role: "img",
      "aria-label": known ? `${fixed(value)}, from ${fixed(low)} to ${fixed(high)}` : fixed(value) },
    svg("line", { x1: 4, x2: 236, y1: 9, y2: 9, class: "axis" }),
    svg("line", { x1: x(0), x2: x(0), y1: 3, y2: 15, class: "axis" }),
    known ? svg("line", { x1: x(low), x2: x(high), y1: 9, y2: 9, class: "range" }) : null,
    svg("circle", { cx: x(value), cy: 9, r: 4, class: "dot" }),
  );
}
