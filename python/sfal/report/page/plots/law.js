// Scores against chance: how many features reach a score, and how many random orders do.
import { fixed, quantile, svg } from "../dom.js";
import { HIGH, LOW, SCORE_TICKS, across, figure, frame, path, scorePart, up } from "./axes.js";

export function lawPlot(embedding) {
  const steps = 60;
  const known = Array.from(embedding.columns.sfal).filter(Number.isFinite).sort((a, b) => a - b);
  const points = [];
  let below = 0;
  for (let step = 0; step <= steps; step += 1) {
    const score = LOW + ((HIGH - LOW) * step) / steps;
    while (below < known.length && known[below] < score) below += 1;
    points.push([across(step / steps), up(1 - below / Math.max(1, known.length))]);
  }
  const law = embedding.law?.map((p, step) => [across(step / (embedding.law.length - 1)), up(p)]);
  const median = quantile(known, 0.5);
  const curves = [
    law ? svg("path", { class: "curve chance", d: path(law) }) : null,
    svg("path", { class: "curve", d: path(points) }),
    known.length === 0 ? null : svg("text", { class: "name mine", x: across(scorePart(median)) + 10, y: up(0.5) - 4 },
      `features, median ${fixed(median)}`),
    law ? svg("text", { class: "name", x: across(0) + 6, y: up(0.5) - 4 }, "chance") : null,
  ];
  const drawing = frame(SCORE_TICKS, [0, 0.5, 1].map((part) => [`${part * 100}%`, part]), "score", curves,
    "Share of the features that reach each score, beside that of random orders");
  return figure("Scores against chance", law
    ? "Share of the features that reach a score; dashed, that of random orders."
    : "Share of the features that reach a score.", drawing);
}
