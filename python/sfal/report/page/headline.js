// A row for each source and set of embeddings.
import { histogram } from "./plots/chart.js";
import { byId, el, fixed, quantile, share } from "./dom.js";
import { TERMS, drawTerms } from "./terms.js";

function summaryOf(source, embedding) {
  const { sfal, sfal_corrected: corrected, p_label: pLabel } = embedding.columns;
  const { se, split_half: splitHalf } = embedding.reliability;
  const n = embedding.nScored;
  let live = 0;
  let explained = 0;
  for (let i = 0; i < source.n_features; i += 1) {
    if (source.windows[i] === 0 || source.windows[i] === source.n_windows) continue;
    live += 1;
    explained += embedding.status[i] === 0;
  }
  return {
    source: source.name,
    layer: source.layer,
    name: embedding.name,
    embedder: embedding.embedder,
    explainer: embedding.labelledBy,
    sfal: quantile(sfal, 0.5),
    corrected: corrected && quantile(corrected, 0.5),
    best: pLabel && pLabel.reduce((sum, p) => sum + (p <= 0.01), 0) / n,
    se: se ?? NaN,
    planted: embedding.planted_auc ?? undefined,
    halves: splitHalf ?? undefined,
    coverage: explained / live,
    values: sfal,
    of: [source, embedding],
  };
}

const COLUMNS = [
  ["source", "Source", (row) => row.source],
  ["layer", "Layer", (row) => row.layer ?? "–", "number wide"],
  ["embedder", "Embedder", (row) => row.embedder, "wide"],
  ["explainer", "Explainer", (row) => row.explainer, "wide"],
  ["sfal", "Median score", (row) => [el("strong", null, fixed(row.sfal)),
    Number.isFinite(row.se) ? el("span", { class: "quiet" }, ` \u00b1 ${fixed(row.se)}`) : null], "number"],
  ["corrected", "Corrected", (row) => fixed(row.corrected), "number"],
  ["best", "Label in best 1 %", (row) => share(row.best), "number"],
  ["halves", "Halves", (row) => fixed(row.halves, 2), "number"],
  ["planted", "Planted errors", (row) => fixed(row.planted, 2), "number"],
  ["coverage", "Coverage", (row) => share(row.coverage), "number"],
  ["values", "Scores", (row) => histogram(row.values)],
];

// Columns of features, and what they are called.
const OF_FEATURES = {
  low: "95 % interval",
  label_rank: "Label rank",
  p_label: "p (label)",
  p_chance: "p (chance)",
  ceiling: "Ceiling",
};

export function drawHeadline(report, choose) {
  const rows = report.sources.flatMap((source) =>
    source.embeddings.map((embedding) => summaryOf(source, embedding)));
  const columns = COLUMNS.filter(([name]) => rows.some((row) => row[name] !== undefined));
  let sorted = null;
  let rising = true;

  function draw() {
    const shown = [...rows];
    if (sorted) {
      const order = (a, b) => (a[sorted] > b[sorted] ? 1 : a[sorted] < b[sorted] ? -1 : 0);
      shown.sort((a, b) => (rising ? order(a, b) : order(b, a)));
    }
    const head = columns.map(([name, title, , kind]) => {
      if (name === "values") return el("th", { scope: "col" }, title);
      const direction = sorted === name ? (rising ? "ascending" : "descending") : null;
      const sort = () => {
        rising = sorted === name ? !rising : !kind?.includes("number");
        sorted = name;
        draw();
      };
      return el("th", { scope: "col", class: kind, "aria-sort": direction, title: TERMS[title] },
        el("button", { type: "button", onclick: sort }, title));
    });
    const body = shown.map((row) => el("tr", null, columns.map(([name, , cell, kind]) => {
      if (name !== "source") return el("td", { class: kind }, cell(row));
      const button = el("button", { type: "button", class: "link", onclick: () => choose(...row.of) },
        row.source);
      const below = el("span", { class: "narrow quiet" }, row.name);
      return el("th", { scope: "row" }, button, below);
    })));
    byId("headline").replaceChildren(
      el("thead", null, el("tr", null, head)), el("tbody", null, body));
  }
  draw();
  const { columns: known } = report.sources[0].embeddings[0];
  drawTerms([...columns.map(([, title]) => title), "NDCG", ...Object.entries(OF_FEATURES)
    .filter(([name]) => known[name]).map(([, title]) => title)]);
}
