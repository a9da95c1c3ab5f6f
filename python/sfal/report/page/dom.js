// Elements and numbers. Text reaches the page as text nodes only.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

export function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

const NUMBER = new Intl.NumberFormat("en-US");
const SHARE = new Intl.NumberFormat("en-US", {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

export function whole(value) {
  return NUMBER.format(value);
}

export function share(value) {
  return Number.isFinite(value) ? SHARE.format(value) : "–";
}

// A number with a minus sign that is as wide as a digit. Exact ties go to the even digit, as on the
// command line, where 0.0625 is 0.062; only multiples of 2 ** -(digits + 1) are exact ties.
export function fixed(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const scaled = Math.abs(value) * 10 ** digits;
  const tie = Number.isInteger(value * 2 ** (digits + 1)) && scaled % 1 === 0.5;
  const even = 2 * Math.round(scaled / 2);
  const text = (tie ? even / 10 ** digits : Math.abs(value)).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `\u2212${text}` : text;
}

export function probability(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  return value < 0.0005 ? value.toExponential(0).replace("-", "\u2212") : value.toFixed(3);
}

// Direction marks and control characters must not reach beyond their label.
export function labelNode(text, empty = "(no label)") {
  if (!text) return el("span", { class: "label none" }, empty);
  return el("bdi", { class: "label", dir: "auto" }, text.replaceAll("\u0000", "\uFFFD"));
}

export function quantile(values, q) {
  const known = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  if (!known.length) return NaN;
  const at = (known.length - 1) * q;
  const low = Math.floor(at);
  return known[low] + (known[Math.min(low + 1, known.length - 1)] - known[low]) * (at - low);
}
