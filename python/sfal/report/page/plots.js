// Scores against chance, and against how often a feature fires.
import { byId, el, fixed, quantile, svg, whole } from "./dom.js";

const WIDTH = 540;
const HEIGHT = 260;
const EDGE = { left: 40, right: 12, top: 10, bottom: 34 };
const LOW = -0.2;
const HIGH = 1;

const across = (part) => EDGE.left + part * (WIDTH - EDGE.left - EDGE.right);
const up = (part) => HEIGHT - EDGE.bottom - part * (HEIGHT - EDGE.top - EDGE.bottom);
const scorePart = (score) => (Math.max(LOW, Math.min(HIGH, score)) - LOW) / (HIGH - LOW);

// Ticks are pairs of a text and a part of the axis.
function frame(xTicks, yTicks, xName, children, label) {
  const lines = yTicks.flatMap(([text, part]) => [
    svg("line", { class: "grid", x1: across(0), x2: across(1), y1: up(part), y2: up(part) }),
    svg("text", { x: across(0) - 8, y: up(part) + 4, "text-anchor": "end" }, text),
  ]);
  const marks = xTicks.map(([text, part]) =>
    svg("text", { x: across(part), y: up(0) + 17, "text-anchor": "middle" }, text));
  const name = svg("text", { x: across(1), y: up(0) + 33, "text-anchor": "end" }, xName);
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "img", "aria-label": label },
    lines, marks, name, children);
}

const SCORE_TICKS = [0, 0.25, 0.5, 0.75, 1].map((score) => [String(score), scorePart(score)]);

function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

function figure(title, text, drawing) {
  return el("figure", null, el("figcaption", null, el("strong", null, title), text), drawing);
}

function lawPlot(embedding) {
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

class Cloud {
  constructor(embedding, brushed) {
    this.embedding = embedding;
    this.brushed = brushed;
    const { windows, n_windows: nWindows } = embedding.source;
    this.top = Math.log10(nWindows) + 1e-9;
    const fewest = windows.reduce((least, n) => (n > 0 && n < least ? n : least), nWindows);
    this.bottom = Math.min(Math.floor(Math.log10(fewest)), Math.ceil(this.top) - 1);
    const ticks = [];
    for (let decade = this.bottom; decade <= this.top; decade += 1) {
      ticks.push([whole(10 ** decade), this.part(10 ** decade)]);
    }
    this.area = svg("rect", { class: "brush", y: 0, width: 0, height: 0 });
    this.drawing = frame(ticks, SCORE_TICKS, "windows in which it fires", [this.median(), this.area],
      "Score of each feature over how often it fires; the filters of the table do what dragging does");
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.node = el("div", { class: "cloud" }, this.canvas, this.drawing);
    this.drawing.addEventListener("pointerdown", (event) => this.begin(event));
  }

  part(windows) {
    return (Math.log10(Math.max(1, windows)) - this.bottom) / (this.top - this.bottom);
  }

  median() {
    const bins = Array.from({ length: 24 }, () => []);
    const { sfal } = this.embedding.columns;
    for (let i = 0; i < sfal.length; i += 1) {
      if (Number.isFinite(sfal[i])) {
        bins[Math.min(23, Math.floor(this.part(this.embedding.source.windows[i]) * 24))].push(sfal[i]);
      }
    }
    const points = bins.map((bin, i) => [bin, i]).filter(([bin]) => bin.length >= 5)
      .map(([bin, i]) => [across((i + 0.5) / 24), up(scorePart(quantile(bin, 0.5)))]);
    return svg("path", { class: "curve", d: path(points) });
  }

  draw() {
    const box = this.node.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    const context = this.canvas.getContext("2d");
    const scale = this.canvas.width / WIDTH;
    const { sfal } = this.embedding.columns;
    const { windows } = this.embedding.source;
    context.fillStyle = getComputedStyle(document.body).getPropertyValue("--quiet");
    context.globalAlpha = Math.max(0.05, Math.min(0.4, 250 / sfal.length));
    const size = 2.4 * scale;
    for (let i = 0; i < sfal.length; i += 1) {
      if (!Number.isFinite(sfal[i])) continue;
      const x = across(this.part(windows[i])) * scale;
      const y = up(scorePart(sfal[i])) * scale;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
  }

  at(event) {
    const box = this.drawing.getBoundingClientRect();
    const inside = (value, low, high) => Math.max(low, Math.min(high, value));
    return [
      inside(((event.clientX - box.left) / box.width) * WIDTH, across(0), across(1)),
      inside(((event.clientY - box.top) / box.height) * HEIGHT, up(1), up(0)),
    ];
  }

  begin(event) {
    const [x0, y0] = this.at(event);
    this.drawing.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const [x, y] = this.at(moved);
      const sides = { x: Math.min(x, x0), y: Math.min(y, y0), width: Math.abs(x - x0), height: Math.abs(y - y0) };
      for (const [name, value] of Object.entries(sides)) this.area.setAttribute(name, value);
    };
    const end = (ended) => {
      this.drawing.removeEventListener("pointermove", move);
      const [x, y] = this.at(ended);
      if (Math.abs(x - x0) > 4 && Math.abs(y - y0) > 4) this.choose(x0, y0, x, y);
    };
    this.drawing.addEventListener("pointermove", move);
    this.drawing.addEventListener("pointerup", end, { once: true });
  }

  choose(x0, y0, x1, y1) {
    const windows = (x) =>
      10 ** (this.bottom + ((x - across(0)) / (across(1) - across(0))) * (this.top - this.bottom));
    const score = (y) => LOW + ((y - up(0)) / (up(1) - up(0))) * (HIGH - LOW);
    this.brushed({
      low: score(Math.max(y0, y1)).toFixed(3),
      high: score(Math.min(y0, y1)).toFixed(3),
      windows: Math.ceil(windows(Math.min(x0, x1))),
      most: Math.floor(windows(Math.max(x0, x1))),
    });
  }
}

export class Plots {
  constructor(brushed) {
    this.brushed = brushed;
    const draw = () => this.cloud?.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("resize", draw);
  }

  show(embedding) {
    this.cloud = new Cloud(embedding, this.brushed);
    byId("charts").replaceChildren(
      lawPlot(embedding),
      figure("Scores by firing rate",
        "The line is the running median. Drag over features to list them below.", this.cloud.node),
    );
    this.cloud.draw();
  }
}
