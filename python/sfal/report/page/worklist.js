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

// By p_label, worst first; tables without it have scores only.
export function worstFirst(embedding) {
  const { p_label: pLabel, sfal } = embedding.columns;
  const badness = pLabel ? (i) => pLabel[i] : (i) => -sfal[i];
  const found = [];
  for (let i = 0; i < embedding.labels.length; i += 1) {
    if (embedding.status[i] === 0 && !Number.isNaN(badness(i))) found.push(i);
  }
  return found.sort((a, b) => badness(b) - badness(a) || a - b);
}

function quoted(items) {
  return items.flatMap((item, i) => [i ? " \u00b7 " : "", item]);
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
    this.order = worstFirst(embedding);
    this.n = PAGE;
    byId("worklist-lead").textContent = embedding.columns.p_label
      ? "Worst first: labels that explain which features fire together worse than many other labels do."
      : "Lowest scores first. A low score may also mean an odd feature, not a wrong label.";
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
    const { labels } = this.embedding;
    const better = betterLabels(this.embedding, i).slice(0, NEAR).map((one) => labelNode(one.label));
    const near = nearestOf(this.report, this.embedding, i, NEAR).map((other) => labelNode(labels[other]));
    return el("dl", { class: "evidence" },
      better.length ? [el("dt", null, "would fit better"), el("dd", null, quoted(better))] : null,
      near.length ? [el("dt", null, "fires with"), el("dd", null, quoted(near))] : null);
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
    byId("more").hidden = this.n >= this.order.length;
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
