// What all plots share: the axes, the scale of scores, a caption.
import { el, fixed, svg } from "../dom.js";

export const WIDTH = 540;
export const HEIGHT = 260;
const EDGE = { left: 46, right: 12, top: 10, bottom: 38 };
export const LOW = -0.2;
export const HIGH = 1;

export const across = (part) => EDGE.left + part * (WIDTH - EDGE.left - EDGE.right);
export const up = (part) => HEIGHT - EDGE.bottom - part * (HEIGHT - EDGE.top - EDGE.bottom);
export const scorePart = (score) => (Math.max(LOW, Math.min(HIGH, score)) - LOW) / (HIGH - LOW);

// Ticks are pairs of a text and a part of the axis.
export function frame(xTicks, yTicks, xName, children, label) {
  const lines = yTicks.flatMap(([text, part]) => [
    svg("line", { class: "grid", x1: across(0), x2: across(1), y1: up(part), y2: up(part) }),
    svg("text", { x: across(0) - 8, y: up(part) + 4, "text-anchor": "end" }, text),
  ]);
  const marks = xTicks.map(([text, part]) =>
    svg("text", { x: across(part), y: up(0) + 17, "text-anchor": "middle" }, text));
  const name = svg("text", { x: across(1), y: up(0) + 36, "text-anchor": "end" }, xName);
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "img", "aria-label": label },
    lines, marks, name, children);
}

export const SCORE_TICKS = [0, 0.25, 0.5, 0.75, 1].map((score) => [String(score), scorePart(score)]);

export function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

export function figure(title, text, drawing, kind = null) {
  return el("figure", { class: kind }, el("figcaption", null, el("strong", null, title), text), drawing);
}


// Ticks of an axis from 0 to a little above the largest value, and the part of a value on it.
export function fromZero(values) {
  const known = values.filter(Number.isFinite);
  const top = 1.12 * Math.max(0.05, ...known);
  const bottom = Math.min(0, 1.12 * Math.min(0, ...known));
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25].find((one) => (top - bottom) / one <= 5) ?? 0.5;
  const part = (value) => (value - bottom) / (top - bottom);
  const ticks = [];
  for (let i = Math.ceil(bottom / step); i * step <= top; i += 1) {
    ticks.push([fixed(i * step, step % 0.1 ? 2 : 1), part(i * step)]);
  }
  return { ticks, part };
}

// A value with its 95 % interval.
export function whisker(x, value, se, part, kind) {
  const known = Number.isFinite(value) && Number.isFinite(se);
  return [
    known ? svg("line", { class: `whisker ${kind}`, x1: x, x2: x,
      y1: up(part(value - 1.96 * se)), y2: up(part(value + 1.96 * se)) }) : null,
    svg("circle", { class: `point ${kind}`, cx: x, cy: up(part(value)), r: 4 }),
  ];
}
