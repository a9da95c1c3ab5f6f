// Labels that are probably wrong, worst first.
import { betterLabels, nearestOf } from "./data.js";
import { byId, el, fixed, labelNode, whole } from "./dom.js";
import { fetchNearest } from "./served.js";
import { VERDICTS, downloadVerdicts, nVerdicts, toggleVerdict, verdictOf } from "./verdicts.js";

const PAGE = 20;
const NEAR = 3;

export function verdictButtons(source, feature, changed) {
  const now = verdictOf(source, feature)?.verdict;
  const buttons = Object.entries(VERDICTS).map(([verdict, name]) =>
    el("button", {
      type: "button",
      "data-verdict": verdict,
      "aria-pressed": now === verdict,
      onclick: () => {
        toggleVerdict(source, feature, verdict);
        changed();
      },
    }, name));
  return el("div", { class: "verdicts", role: "group", "aria-label": `Label of feature ${feature}` },
    buttons);
}

// The suspects of `sfal audit`, worst first; tables without p_label have scores only.
export function worstFirst({ wrong_p: wrongP, reliable }, { columns, labels, status }) {
  const { p_label: pLabel, ceiling, sfal } = columns;
  const badness = pLabel ? (i) => pLabel[i] : (i) => -sfal[i];
  const isSuspect = pLabel ? (i) => pLabel[i] > wrongP && (!ceiling || ceiling[i] >= reliable)
    : (i) => !Number.isNaN(sfal[i]);
  const found = [];
  for (let i = 0; i < labels.length; i += 1) {
    if (status[i] === 0 && isSuspect(i)) found.push(i);
  }
  return found.sort((a, b) => badness(b) - badness(a) || a - b);
}

function leadOf({ columns }, n) {
  if (!columns.p_label) return "Lowest scores first. A low score may also mean an odd feature, not a wrong label.";
  if (n === 0) return "None: no label predicts much worse than the others which features fire with its own.";
  return `${whole(n)} feature${n > 1 ? "s" : ""}, worst first. For each of these features, more than one label in ` +
    "twenty predicts better than its own which features fire with it.";
}

export class Worklist {
  constructor(report, hrefOf, changed) {
    this.report = report;
    this.hrefOf = hrefOf;
    this.changed = changed;
    byId("more").addEventListener("click", () => {
      this.n += PAGE;
      this.draw();
    });
    byId("export-verdicts").addEventListener("click", downloadVerdicts);
  }

  show(embedding) {
    this.embedding = embedding;
    this.order = worstFirst(this.report, embedding);
    this.n = PAGE;
    byId("worklist-lead").textContent = leadOf(embedding, this.order.length);
    this.draw();
  }

  facts(i) {
    const { columns, nScored } = this.embedding;
    const facts = [`feature ${i}`, `score ${fixed(columns.sfal[i])}`];
    if (columns.label_rank) {
      facts.push(`label rank ${whole(columns.label_rank[i])} of ${whole(nScored)}`);
    }
    if (columns.ceiling && Number.isFinite(columns.ceiling[i])) {
      facts.push(`ceiling ${fixed(columns.ceiling[i], 2)}`);
    }
    return facts.flatMap((fact, at) => [at ? " \u00b7 " : "", el("span", { class: "fact" }, fact)]);
  }

  item(i) {
    const { source, labels } = this.embedding;
    return el("li", { "data-feature": i, "data-source": source.name },
      el("div", { class: "claim" },
        el("a", { class: "title", href: this.hrefOf(source, i) }, labelNode(labels[i])),
        el("p", { class: "quiet numbers" }, this.facts(i))),
      this.evidence(i),
      verdictButtons(source.name, i, this.changed));
  }

  evidence(i) {
    const { labels, source } = this.embedding;
    const better = betterLabels(this.embedding, i).slice(0, NEAR).map((one) => one.feature);
    const near = nearestOf(this.report, this.embedding, i, NEAR);
    const listed = (title, features) => (features.length ? [el("dt", null, title), features.map((feature) =>
      el("dd", null, el("a", { href: this.hrefOf(source, feature) }, labelNode(labels[feature]))))] : null);
    return el("dl", { class: "evidence" }, listed("would fit better", better), listed("fires with", near));
  }

  // A page that is served learns the neighbours after it is drawn.
  async complete() {
    const { embedding } = this;
    const features = this.order.slice(Math.max(0, this.n - PAGE), this.n);
    if (!this.report.served || !(await fetchNearest(embedding, features))) return;
    if (this.embedding !== embedding) return;
    for (const item of byId("worklist").children) {
      item.querySelector(".evidence").replaceWith(this.evidence(Number(item.dataset.feature)));
    }
  }

  draw() {
    const shown = this.order.slice(0, this.n).map((i) => this.item(i));
    byId("worklist").replaceChildren(...shown);
    const left = this.order.length - this.n;
    byId("more").hidden = left <= 0;
    byId("more").textContent = `Show ${Math.min(PAGE, left)} more of ${whole(this.order.length)}`;
    this.drawCount();
    this.complete().catch(() => {});
  }

  // Redraw what depends on verdicts, and keep the focus.
  refresh() {
    for (const item of byId("worklist").children) {
      const now = verdictOf(item.dataset.source, Number(item.dataset.feature))?.verdict;
      for (const button of item.querySelectorAll("[data-verdict]")) {
        button.setAttribute("aria-pressed", String(button.dataset.verdict === now));
      }
    }
    this.drawCount();
  }

  drawCount() {
    const n = nVerdicts();
    byId("export-verdicts").textContent = n ? `Export ${whole(n)} verdict${n > 1 ? "s" : ""}` : "Export verdicts";
    byId("export-verdicts").disabled = n === 0;
  }
}
