// Two explainers or embedders of one source: who scores where, and by which label.
import { byId, el, fixed, labelNode, quantile, svg, whole } from "../dom.js";

const SIZE = 300;
const SHOWN = 8;

const place = (score) => 30 + ((Math.max(-0.2, Math.min(1, score)) + 0.2) / 1.2) * (SIZE - 40);

// Features that both score, by what the second gains over the first.
export function gains(one, other) {
  const found = [];
  for (let i = 0; i < one.labels.length; i += 1) {
    const gain = other.columns.sfal[i] - one.columns.sfal[i];
    if (Number.isFinite(gain)) found.push([gain, i]);
  }
  return found.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
}

const signed = (gain) => `${gain > 0 ? "+" : ""}${fixed(gain)}`;

function scatter(one, other, found) {
  const step = Math.max(1, Math.ceil(found.length / 4000));
  const dots = found.filter((_, i) => i % step === 0)
    .map(([, i]) => {
      const x = place(one.columns.sfal[i]).toFixed(1);
      const y = (SIZE - place(other.columns.sfal[i])).toFixed(1);
      return `M${x} ${y}h0`;
    });
  const ticks = [0, 0.5, 1].flatMap((score) => [
    svg("line", { class: "grid", x1: place(score), x2: place(score), y1: 10, y2: SIZE - 30 }),
    svg("line", { class: "grid", x1: 30, x2: SIZE - 10, y1: SIZE - place(score), y2: SIZE - place(score) }),
    svg("text", { x: place(score), y: SIZE - 14, "text-anchor": "middle" }, String(score)),
    svg("text", { x: 24, y: SIZE - place(score) + 4, "text-anchor": "end" }, String(score)),
  ]);
  return svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "plot", role: "img",
    "aria-label": `Scores by ${other.name} over scores by ${one.name}` },
  ticks,
  svg("text", { class: "name", x: SIZE - 10, y: SIZE - 1, "text-anchor": "end" }, one.name),
  svg("text", { class: "name", x: 32, y: 6 }, other.name),
  svg("line", { class: "axis", x1: place(-0.2), y1: SIZE - place(-0.2), x2: place(1), y2: SIZE - place(1) }),
  svg("path", { class: "dots", d: dots.join("") }));
}

export class Compare {
  constructor(hrefOf) {
    this.hrefOf = hrefOf;
    for (const id of ["compare-one", "compare-other"]) {
      byId(id).addEventListener("change", () => this.draw());
    }
  }

  show(source) {
    const several = source.embeddings.length > 1;
    byId("compare").hidden = !several;
    byId("compare-link").hidden = !several;
    if (!several || this.source === source) return;
    this.source = source;
    for (const [id, chosen] of [["compare-one", 0], ["compare-other", 1]]) {
      byId(id).replaceChildren(...source.embeddings.map((each) => el("option", null, each.name)));
      byId(id).selectedIndex = chosen;
    }
    this.draw();
  }

  draw() {
    const [one, other] = ["compare-one", "compare-other"].map((id) =>
      this.source.embeddings[byId(id).selectedIndex]);
    const found = gains(one, other);
    const wins = found.reduce((n, [gain]) => n + (gain > 0), 0);
    byId("compare-sum").textContent = found.length
      ? `${other.name} scores higher for ${whole(wins)} of ${whole(found.length)} features; the median of ` +
        `its score minus that of ${one.name} is ${signed(quantile(found.map(([gain]) => gain), 0.5))}.`
      : "No feature is scored by both.";
    byId("compare-plot").replaceChildren(scatter(one, other, found));
    this.list("compare-gains", found.filter(([gain]) => gain > 0).slice(0, SHOWN), one, other);
    this.list("compare-losses", found.filter(([gain]) => gain < 0).slice(-SHOWN).reverse(), one, other);
  }

  list(id, found, one, other) {
    const cell = (each, i) => el("td", null,
      el("span", { class: "value" }, fixed(each.columns.sfal[i])), " ", labelNode(each.labels[i]));
    const rows = found.map(([gain, i]) => el("tr", null,
      el("td", { class: "number" }, signed(gain)),
      el("td", { class: "number" }, el("a", { href: this.hrefOf(this.source, i) }, String(i))),
      cell(one, i), cell(other, i)));
    byId(id).replaceChildren(
      el("thead", null, el("tr", null, ["Change", "Feature", one.name, other.name].map((name, at) =>
        el("th", { scope: "col", class: at < 2 ? "number" : null }, name)))),
      el("tbody", null, rows));
  }
}
