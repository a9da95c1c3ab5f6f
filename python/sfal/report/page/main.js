// Decode the data, draw the page, and follow the address and the keyboard.
import { Browser } from "./browser.js";
import { Compare } from "./plots/compare.js";
import { bestSource, featureOf, findSource, loadReport } from "./data.js";
import { byId, el, whole } from "./dom.js";
import { FeaturePanel } from "./feature.js";
import { followLinksByHand } from "./frame.js";
import { drawHeadline } from "./headline.js";
import { drawNotes } from "./notes.js";
import { Plots } from "./plots/plots.js";
import { searchLabels } from "./search.js";
import { runSelftest } from "./selftest.js";
import { fetchLists } from "./served.js";
import { loadVerdicts } from "./verdicts.js";
import { Worklist } from "./worklist.js";

const hrefOf = (source, feature) =>
  `#/${source.name.split("/").map(encodeURIComponent).join("/")}/${feature}`;

class Page {
  constructor(report) {
    this.report = report;
    const changed = () => {
      this.worklist.refresh();
      this.browser.draw();
    };
    this.worklist = new Worklist(report, hrefOf, changed);
    this.browser = new Browser(report, hrefOf, (feature) => this.go(feature), (filters) =>
      this.plots.outline(filters));
    this.compare = new Compare(hrefOf);
    this.plots = new Plots((filters) => {
      this.browser.list(filters);
      byId("browser").scrollIntoView();
    });
    this.panel = new FeaturePanel(report, hrefOf, changed);
    byId("source").append(...report.sources.map((source) => el("option", { value: source.name }, source.name)));
    byId("source").addEventListener("change", () => this.choose(findSource(report, byId("source").value)));
    byId("embedding").addEventListener("change", () =>
      this.choose(this.source, this.source.embeddings[byId("embedding").selectedIndex]));
    drawHeadline(report, (source, embedding) => {
      this.choose(source, embedding);
      byId("browser").scrollIntoView();
    });
    drawNotes(report);
    addEventListener("hashchange", () => this.follow());
    document.addEventListener("keydown", (event) => this.key(event));
    this.choose(bestSource(report));
    this.follow();
  }

  choose(source, embedding = source.embeddings[0]) {
    this.source = source;
    this.embedding = embedding;
    byId("source").value = source.name;
    byId("embedding").replaceChildren(...source.embeddings.map((one) => el("option", null, one.name)));
    byId("embedding").selectedIndex = source.embeddings.indexOf(embedding);
    this.worklist.show(embedding);
    this.plots.show(this.report, embedding);
    this.compare.show(source);
    this.browser.show(embedding);
    if (this.panel.isOpen) this.panel.show(embedding, Math.min(this.panel.index, source.n_features - 1));
  }

  go(feature) {
    location.hash = hrefOf(this.source, feature);
  }

  // #/SOURCE/FEATURE opens a feature; the name of a source may hold slashes.
  follow() {
    const found = /^#\/(.+)\/(\d+)$/.exec(location.hash);
    let source = null;
    try {
      source = found && findSource(this.report, decodeURIComponent(found[1]));
    } catch {
      // Not an address that this page made.
    }
    const feature = source ? Number(found[2]) : -1;
    if (!source || feature >= source.n_features) {
      this.panel.close();
      return;
    }
    if (source !== this.source) this.choose(source);
    this.browser.selectFeature(feature);
    this.panel.show(this.embedding, feature);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape") {
      if (typing) typing.blur();
      else if (this.panel.isOpen) location.hash = "#/";
      return;
    }
    if (typing) return;
    if (event.key === "/") {
      event.preventDefault();
      byId("search").focus();
    } else if (event.key === "j" || event.key === "k") {
      this.browser.select(this.browser.selected + (event.key === "j" ? 1 : -1));
      if (this.panel.isOpen) this.go(this.browser.view[this.browser.selected]);
    } else if (event.key === "Enter" && !event.target.closest("a, button")) {
      const feature = this.browser.view[this.browser.selected];
      if (feature !== undefined) this.go(feature);
    }
  }
}

function offer(report, page) {
  const sourceOf = (name) => (name === undefined ? page.source : findSource(report, name));
  window.sfal = {
    sources: report.sources.map((source) => source.name),
    search: (text, name) => {
      const source = sourceOf(name);
      const embedding = source === page.source ? page.embedding : source?.embeddings[0];
      const found = (embedding && searchLabels(embedding, text)) ?? [];
      return report.served ? Promise.resolve(found) : found;
    },
    feature: (name, index, wanted) => {
      const all = sourceOf(name)?.embeddings ?? [];
      const embedding = wanted === undefined ? all[0] : all.find((one) => one.name === wanted || one.embedder === wanted);
      const view = () => (embedding ? featureOf(report, embedding, Number(index)) : null);
      if (!report.served) return view();
      return view() === null ? Promise.resolve(null) : fetchLists(embedding, Number(index)).then(view);
    },
  };
}

function say(problem) {
  byId("problem").hidden = false;
  byId("problem").textContent = problem;
  document.body.dataset.sfal = "failed";
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    say("This browser cannot unpack the page\u2019s data; one of 2023 or later can.");
    return;
  }
  try {
    const report = await loadReport();
    loadVerdicts();
    followLinksByHand();
    const page = new Page(report);
    offer(report, page);
    const total = report.sources.reduce((n, source) => n + source.n_features, 0);
    document.title = `SFAL report: ${whole(total)} features`;
    document.body.dataset.sfal = "ready";
    if (location.hash === "#selftest") await runSelftest(report);
  } catch (error) {
    say(`The page\u2019s data cannot be read: ${error.message}`);
    throw error;
  }
}

await start();
