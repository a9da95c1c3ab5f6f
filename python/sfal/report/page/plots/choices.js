// How much the order of the features depends on the measure, the metric and the window.
import { el, fixed } from "../dom.js";
import { figure } from "./axes.js";

const METRICS = { ndcg: "NDCG", overlap10: "first ten", rbo98: "RBO" };

function cell(value) {
  const shown = el("td", { class: "number" }, fixed(value, 2));
  if (Number.isFinite(value)) shown.style.setProperty("--share", Math.max(0, value));
  return shown;
}

// Return null where `sfal sensitivity` was not run on these labels.
export function choicesTable(embedding) {
  const found = embedding.source.sensitivity;
  if (!found || found.embedding !== embedding.embedder || found.stem !== embedding.stem) return null;
  const metrics = Object.keys(METRICS).filter((name) => found.rows.some(([, metric]) => metric === name));
  const windows = [...new Set(found.rows.filter(([, , , value]) => value !== null).map(([, , window]) => window))].sort((a, b) => a - b);
  const measures = [...new Set(found.rows.map(([measure]) => measure))];
  const values = new Map(found.rows.map(([measure, metric, window, value]) =>
    [`${measure} ${metric} ${window}`, value ?? NaN]));
  const size = (window) => (found.window_size ? `${found.window_size * window} tokens` : `${window} \u00d7`);
  const head = el("thead", null,
    el("tr", null, el("td", null), windows.map((window) =>
      el("th", { scope: "colgroup", colspan: metrics.length }, size(window)))),
    el("tr", null, el("th", { scope: "col" }, "measure"), windows.flatMap(() => metrics.map((metric) =>
      el("th", { scope: "col", class: "number" }, METRICS[metric])))));
  const body = el("tbody", null, measures.map((measure) => el("tr", null,
    el("th", { scope: "row" }, measure), windows.flatMap((window) => metrics.map((metric) =>
      cell(values.get(`${measure} ${metric} ${window}`)))))));
  return figure("Measures and metrics",
    "Rank correlation of the scores with the usual ones (phi, NDCG, windows as counted); near 1, the choice " +
    "makes little difference to which features score high.",
    el("div", { class: "scroll" }, el("table", { class: "choices" }, head, body)), "whole");
}
