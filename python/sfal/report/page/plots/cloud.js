// Scores against how often a feature fires; dragging over it sets the filters of the table.
import { el, quantile, svg, whole } from "../dom.js";
import { HEIGHT, HIGH, LOW, SCORE_TICKS, WIDTH, across, frame, path, scorePart, up } from "./axes.js";

export class Cloud {
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

  // Outline what the filters of the table leave; nothing if they leave all.
  outline({ low, high, windows, most }) {
    const known = [low, high, windows, most].some((value) => !Number.isNaN(value));
    const inside = (value, first, last) => Math.max(first, Math.min(last, value));
    const x = (value, otherwise) => across(Number.isNaN(value) ? otherwise : inside(this.part(value), 0, 1));
    const y = (value, otherwise) => up(Number.isNaN(value) ? otherwise : scorePart(value));
    const [left, right, top, bottom] = [x(windows, 0), x(most, 1), y(high, 1), y(low, 0)];
    const sides = { x: left, y: top, width: known ? Math.max(0, right - left) : 0, height: Math.max(0, bottom - top) };
    for (const [name, value] of Object.entries(sides)) this.area.setAttribute(name, value);
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
