// One feature: its label, score and both neighbour lists side by side.
import { interval } from "./plots/chart.js";
import { featureOf } from "./data.js";
import { byId, el, fixed, labelNode, probability, share, whole } from "./dom.js";
import { listed } from "./notes.js";
import { fetchLists } from "./served.js";
import { TERMS } from "./terms.js";
import { chooseBetter, verdictOf } from "./verdicts.js";
import { verdictButtons } from "./worklist.js";

const LISTS = { functional: "Fires with it", semantic: "Means the same" };

// Rows of a list that are drawn at once; a page that is served has whole lists.
const DRAWN = 50;
// Milliseconds for which a reader stays at a feature before its lists are asked for.
const PAUSE = 80;

function whyEmpty(view, kind, nWindows) {
  if (view[kind] === undefined) return "Left out because of the file\u2019s size.";
  if (kind === "semantic") {
    return view.label || view.status !== "unexplained"
      ? "None of the nearest features has a label." : "Unknown: it has no label.";
  }
  if (view.windows === 0) return "Nothing: it fires in no window.";
  if (view.windows === nWindows) return "Nothing in particular: it fires in every window.";
  return "Nothing: no other feature that can be compared fires in some windows only.";
}

export class FeaturePanel {
  constructor(report, hrefOf, changed) {
    this.report = report;
    this.hrefOf = hrefOf;
    this.changed = changed;
    this.panel = byId("panel");
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  show(embedding, index) {
    this.embedding = embedding;
    this.index = index;
    this.problem = null;
    this.whole = new Set();
    const wasOpen = this.isOpen;
    if (!wasOpen) this.before = document.activeElement;
    this.draw();
    this.panel.hidden = false;
    this.panel.scrollTop = 0;
    document.body.classList.add("with-panel");
    this.panel.querySelector("h2").focus({ preventScroll: true });
    this.complete();
  }

  // A page that is served asks for the lists of the feature at which the reader stops.
  async complete() {
    const { embedding, index } = this;
    const isShown = () => this.isOpen && this.embedding === embedding && this.index === index;
    if (!embedding.lists || embedding.lists.has(index)) return;
    await new Promise((done) => setTimeout(done, PAUSE));
    if (!isShown()) return;
    try {
      await fetchLists(embedding, index);
    } catch (error) {
      this.problem = error.message;
    }
    if (isShown()) this.redraw();
  }

  close() {
    if (!this.isOpen) return;
    this.panel.hidden = true;
    this.panel.replaceChildren();
    document.body.classList.remove("with-panel");
    if (this.before?.isConnected) this.before.focus({ preventScroll: true });
  }

  draw() {
    const { embedding, index } = this;
    const { source } = embedding;
    const view = featureOf(this.report, embedding, index);
    const page = source.neuronpedia
      && `https://www.neuronpedia.org/${source.neuronpedia.split("/").map(encodeURIComponent).join("/")}/${index}`;
    this.panel.replaceChildren(el("article", { id: "feature", "data-feature": index, "data-source": source.name },
      el("div", { class: "top" },
        el("p", { class: "quiet numbers" }, `${source.name} \u00b7 feature ${index}`),
        el("a", { class: "close", href: "#/", "aria-label": "Close", title: "Close (Esc)" }, "\u00d7")),
      el("h2", { tabindex: "-1" }, labelNode(view.label)),
      el("p", { class: "quiet" }, `labelled by ${embedding.labelledBy}, embedded by ${embedding.embedder}`,
        page ? [" \u00b7 ", el("a", { href: page, rel: "noreferrer noopener", target: "_blank" },
          "Neuronpedia")] : null),
      this.facts(view),
      verdictButtons(source.name, index, () => {
        this.changed();
        this.redraw();
      }),
      this.better(view),
      el("p", { class: "quiet key" },
        `#N: place in the other list; a dot: among the first ${this.report.match} there, a match.`),
      el("div", { class: "lists" }, Object.keys(LISTS).map((kind) => this.list(view, kind))),
      el("p", { class: "quiet" }, `Listed: ${listed(source.scoring)}.`),
      this.opposites(view),
      this.examples(view)));
  }

  redraw() {
    const verdict = document.activeElement?.dataset?.verdict;
    const inPanel = this.panel.contains(document.activeElement);
    const scroll = this.panel.scrollTop;
    this.draw();
    this.panel.scrollTop = scroll;
    const focused = this.panel.querySelector(verdict ? `[data-verdict=${verdict}]` : "h2");
    if (inPanel) focused.focus({ preventScroll: true });
  }

  facts(view) {
    const { nScored, source } = this.embedding;
    const facts = [];
    const add = (name, value, ...more) => facts.push(
      el("div", { title: TERMS[name] }, el("dt", null, name), el("dd", { class: "numbers" }, value), more));
    if (view.status === "scored") {
      const known = Number.isFinite(view.low);
      facts.push(el("div", { class: "score" }, el("dt", null, "Score"),
        el("dd", { class: "numbers" }, el("strong", null, fixed(view.sfal)),
          known ? el("span", { class: "quiet" }, ` ${fixed(view.low)} to ${fixed(view.high)}`) : null),
        interval(view.sfal, view.low, view.high)));
      if (view.label_rank) {
        add("Label rank", `${whole(view.label_rank)} of ${whole(nScored)}`);
        add("p (label)", probability(view.p_label));
      }
      if (Number.isFinite(view.p_chance)) add("p (chance)", probability(view.p_chance));
      if (Number.isFinite(view.ceiling)) add("Ceiling", fixed(view.ceiling, 2));
      if (Number.isFinite(view.sfal_corrected)) add("Corrected", fixed(view.sfal_corrected));
      add("NDCG", fixed(view.ndcg), el("dd", { class: "quiet numbers" }, `chance ${fixed(view.chance)}`));
    } else {
      add("Score", `none: the feature is ${view.status.replaceAll("_", " ")}`);
    }
    add("Fires in", share(view.windows / source.n_windows),
      el("dd", { class: "quiet numbers" }, `${whole(view.windows)} of ${whole(source.n_windows)} windows`));
    return el("dl", { class: "facts" }, facts);
  }

  better(view) {
    if (!view.better_labels.length) return null;
    const chosen = verdictOf(view.source, view.feature)?.better_feature;
    const items = view.better_labels.map((one) => el("li", null,
      el("span", { class: "value" }, fixed(one.sfal)),
      el("a", { href: this.hrefOf(this.embedding.source, one.feature), class: "number" }, String(one.feature)),
      labelNode(one.label),
      el("button", {
        type: "button",
        class: "soft",
        "aria-pressed": chosen === one.feature,
        "aria-label": `The label of feature ${one.feature} fits`,
        onclick: () => {
          chooseBetter(view.source, view.feature, one);
          this.changed();
          this.redraw();
        },
      }, "fits")));
    return el("section", { class: "better" }, el("h3", null, "Labels that would fit better"),
      el("ol", null, items));
  }

  opposites(view) {
    if (!view.opposites.length) return null;
    const items = view.opposites.map((one) => el("li", null,
      el("span", { class: "value" }, fixed(one.value)),
      el("a", { href: this.hrefOf(this.embedding.source, one.feature), class: "number" }, String(one.feature)),
      labelNode(this.embedding.labels[one.feature])));
    return el("section", { class: "opposites" },
      el("h3", null, "Avoids", el("span", { class: "quiet" }, " phi")), el("ol", null, items));
  }

  examples(view) {
    if (!view.examples.length) return null;
    const items = view.examples.map((one) => el("li", null,
      el("bdi", { dir: "auto" }, one.before, el("mark", null, one.token), one.after)));
    return el("section", { class: "examples" }, el("h3", null, "Where it fires most"),
      el("ol", null, items));
  }

  list(view, kind) {
    const measure = kind === "functional" ? this.embedding.source.scoring.measure : "cosine";
    const items = view[kind] ?? [];
    const top = Math.max(...items.map((one) => one.value), 1e-9);
    const drawn = this.whole.has(kind) ? items : items.slice(0, DRAWN);
    const rows = drawn.map((one) => {
      const match = one.place !== null && one.place <= this.report.match;
      const bar = el("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", Math.max(0, one.value / top));
      return el("li", {
        "data-feature": one.feature,
        class: match ? "match" : null,
        onmouseenter: () => this.mark(one.feature, true),
        onmouseleave: () => this.mark(one.feature, false),
      },
      el("span", { class: "value" }, fixed(one.value), bar),
      el("a", { href: this.hrefOf(this.embedding.source, one.feature) },
        el("span", { class: "index" }, String(one.feature)),
        labelNode(this.embedding.labels[one.feature])),
      el("span", { class: "place", title: "Place in the other list" },
        one.place === null ? "" : `#${one.place}`,
        match ? el("span", { class: "hidden" }, " match") : null));
    });
    const first = items.slice(0, this.report.match);
    const nMatches = first.filter((one) => one.place !== null && one.place <= this.report.match).length;
    return el("section", null,
      el("h3", null, LISTS[kind], el("span", { class: "quiet" }, ` ${measure}`),
        items.length ? el("span", { class: "quiet tally" }, `${nMatches} of ${first.length} match`) : null),
      el("ol", { "data-list": kind, "aria-busy": this.isWaiting(view, kind) || null }, rows),
      drawn.length < items.length ? el("button", {
        type: "button",
        class: "soft",
        onclick: () => {
          this.whole.add(kind);
          this.redraw();
        },
      }, `Show all ${whole(items.length)}`) : null,
      items.length ? null : el("p", { class: "quiet" }, this.whyEmpty(view, kind)));
  }

  isWaiting(view, kind) {
    return view[kind] === undefined && this.embedding.lists !== null && this.problem === null;
  }

  whyEmpty(view, kind) {
    if (this.isWaiting(view, kind)) return "Looking them up \u2026";
    return this.problem ?? whyEmpty(view, kind, this.embedding.source.n_windows);
  }

  // Show a neighbour in both lists at once.
  mark(feature, on) {
    for (const item of this.panel.querySelectorAll(`.lists [data-feature="${feature}"]`)) {
      item.classList.toggle("twin", on);
    }
  }
}
