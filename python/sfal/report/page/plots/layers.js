// The median score of each layer of a model.
import { el, fixed, quantile, svg } from "../dom.js";
import { across, figure, frame, fromZero, path, up, whisker } from "./axes.js";

// Pairs of a name and points, for each embedder and explainer of a model.
function seriesOf(report, model) {
  const series = new Map();
  for (const source of report.sources) {
    if (source.model !== model || source.layer === null) continue;
    for (const one of source.embeddings) {
      const name = `${one.embedder}, ${one.explainer}`;
      if (!series.has(name)) series.set(name, []);
      const value = quantile(one.columns.sfal, 0.5);
      if (Number.isFinite(value)) {
        series.get(name).push({ layer: source.layer, value, se: one.reliability.se ?? NaN, source, embedding: one });
      }
    }
  }
  for (const points of series.values()) points.sort((a, b) => a.layer - b.layer);
  return [...series].filter(([, points]) => points.length);
}

// Return null for a model of which one layer is shown.
export function layersPlot(report, embedding) {
  const series = seriesOf(report, embedding.source.model);
  const all = series.flatMap(([, points]) => points);
  const layers = [...new Set(all.map((one) => one.layer))].sort((a, b) => a - b);
  if (layers.length < 2) return null;
  const [first, last] = [layers[0], layers[layers.length - 1]];
  const place = (layer) => 0.05 + (0.9 * (layer - first)) / (last - first);
  const { ticks, part } = fromZero(all.flatMap(({ value, se }) => [value, value + 1.96 * se, value - 1.96 * se]));
  const every = Math.ceil(layers.length / 14);
  const xTicks = layers.filter((_, i) => i % every === 0).map((layer) => [String(layer), place(layer)]);
  const isMine = ([, points]) => points.some((one) => one.embedding === embedding);
  const drawn = [...series].sort((a, b) => isMine(a) - isMine(b)).map(([name, points]) => {
    const kind = isMine([name, points]) ? "mine" : "other";
    return svg("g", { class: kind }, svg("title", null, name),
      svg("path", { class: `curve ${kind}`, d: path(points.map(({ layer, value }) =>
        [across(place(layer)), up(part(value))])) }),
      points.map(({ layer, value, se }) => whisker(across(place(layer)), value, se, part, kind)));
  });
  const words = all.filter((one) => one.embedding.embedder === embedding.embedder)
    .map(({ layer, value }) => `layer ${layer} ${fixed(value)}`).join(", ");
  const drawing = frame(xTicks, ticks, "layer", drawn, `Median score by layer: ${words}`);
  const others = series.length > 1 ? [" Grey: other embedders or explainers."] : [];
  return figure("Layers", el("span", null, "Median score of each layer with its 95 % interval.", others), drawing);
}
