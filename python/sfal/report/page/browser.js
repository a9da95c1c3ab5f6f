// All features as a table that draws only the rows in sight.
import { byId, el, fixed, labelNode, probability, share, whole } from "./dom.js";
import { searchLabels } from "./search.js";
import { TERMS } from "./terms.js";
import { verdictOf } from "./verdicts.js";

const ROW = 38;
const SPARE = 8;

const column = (name) => (embedding) => embedding.columns[name];

// Name, title, width, values to sort by, cell, class.
const TABLE = [
  ["feature", "Feature", 76, () => null, null, "number"],
  ["label", "Label", null, (one) => one.labels, (i, one) => labelNode(one.labels[i]), "text"],
  ["sfal", "Score", 96, column("sfal"), (i, one, statuses) => (one.status[i] === 0
    ? fixed(one.columns.sfal[i])
    : el("span", { class: "quiet" }, statuses[one.status[i]].replaceAll("_", " "))), "number"],
  ["interval", "95 % interval", 176, column("low"),
    (i, one) => (Number.isFinite(one.columns.low[i])
      ? `${fixed(one.columns.low[i], 2)} to ${fixed(one.columns.high[i], 2)}` : "–"), "number wide"],
  ["label_rank", "Label rank", 92, column("label_rank"),
    (i, one) => (one.columns.label_rank[i] ? whole(one.columns.label_rank[i]) : "–"), "number wide"],
  ["p_label", "p (label)", 96, column("p_label"),
    (i, one) => probability(one.columns.p_label[i]), "number wide"],
  ["ceiling", "Ceiling", 76, column("ceiling"),
    (i, one) => fixed(one.columns.ceiling[i], 2), "number wide"],
  ["windows", "Fires in", 76, (one) => one.source.windows,
    (i, one) => share(one.source.windows[i] / one.source.n_windows), "number wide"],
  ["verdict", "Verdict", 76, null, null, "wide"],
];

export class Browser {
  // `filtered` is told of the filters when they change.
  constructor(report, hrefOf, open, filtered) {
    this.report = report;
    this.hrefOf = hrefOf;
    this.open = open;
    this.told = filtered;
    this.sort = { name: null, rising: true };
    this.selected = -1;
    this.view = [];
    this.box = byId("rows");
    this.table = byId("table");
    for (const status of report.statuses) {
      byId("filter-status").append(el("option", { value: status }, status.replaceAll("_", " ")));
    }
    this.box.addEventListener("scroll", () => this.later(), { passive: true });
    addEventListener("resize", () => this.later());
    byId("search").addEventListener("input", () => this.update());
    for (const input of document.querySelectorAll("[id^=filter-]")) {
      input.addEventListener("input", () => this.update());
    }
    byId("clear").addEventListener("click", () => {
      for (const input of document.querySelectorAll("[id^=filter-]")) input.value = "";
      byId("search").value = "";
      this.update();
      byId("search").focus();
    });
    this.table.tBodies[0].addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-feature]");
      if (row && !event.target.closest("a")) this.open(Number(row.dataset.feature));
    });
  }

  show(embedding) {
    this.embedding = embedding;
    this.columns = TABLE.filter(([, , , values]) => !values || values(embedding) !== undefined);
    for (const label of document.querySelectorAll("[data-needs]")) {
      label.hidden = !embedding.columns[label.dataset.needs];
    }
    this.table.querySelector("colgroup").replaceChildren(
      ...this.columns.map(([, , width, , , kind]) =>
        el("col", { class: kind.includes("wide") ? "wide" : null, width })));
    this.drawHead();
    this.update();
  }

  drawHead() {
    const cells = this.columns.map(([name, title, , values, , kind], i) => {
      const now = this.sort.name === name;
      const sort = () => {
        const first = kind.includes("number") && name !== "feature";
        this.sort = { name, rising: now ? !this.sort.rising : !first };
        this.drawHead();
        this.update();
        this.table.tHead.rows[0].cells[i].querySelector("button").focus();
      };
      return el("th", { scope: "col", class: kind, title: TERMS[title],
        "aria-sort": now ? (this.sort.rising ? "ascending" : "descending") : null },
        values ? el("button", { type: "button", onclick: sort }, title) : title);
    });
    this.table.tHead.replaceChildren(el("tr", { "aria-rowindex": 1 }, cells));
  }

  update() {
    const found = searchLabels(this.embedding, byId("search").value);
    byId("search").setAttribute("aria-invalid", String(found === null));
    this.view = this.sorted(this.filtered(found ?? []));
    this.selected = -1;
    const n = this.view.length;
    const all = this.embedding.labels.length;
    byId("count").textContent = found === null ? "not a regular expression yet"
      : n === all ? `${whole(n)} features` : `${whole(n)} of ${whole(all)} features`;
    this.table.setAttribute("aria-rowcount", n + 1);
    byId("clear").hidden = n === all;
    this.told(this.filters);
    this.box.scrollTop = 0;
    this.draw();
  }

  // Numbers in the filters, NaN where there is none.
  get filters() {
    const number = (id) => (byId(id).value === "" ? NaN : Number(byId(id).value));
    return Object.fromEntries(["low", "high", "p", "windows", "most"].map((id) => [id, number(`filter-${id}`)]));
  }

  filtered(features) {
    const status = this.report.statuses.indexOf(byId("filter-status").value);
    const { low, high, p, windows, most } = this.filters;
    const { sfal, p_label: pLabel } = this.embedding.columns;
    const { source } = this.embedding;
    const keep = (i) =>
      (status < 0 || this.embedding.status[i] === status) &&
      (Number.isNaN(low) || sfal[i] >= low) &&
      (Number.isNaN(high) || sfal[i] <= high) &&
      (Number.isNaN(p) || !pLabel || pLabel[i] >= p) &&
      (Number.isNaN(windows) || source.windows[i] >= windows) &&
      (Number.isNaN(most) || source.windows[i] <= most);
    return features.filter(keep);
  }

  // List what lies within filters, named by the ends of their inputs' ids, worst label first.
  list(filters) {
    for (const [id, value] of Object.entries(filters)) byId(`filter-${id}`).value = value;
    this.sort = this.embedding.columns.p_label ? { name: "p_label", rising: false } : { name: "sfal", rising: true };
    this.drawHead();
    this.update();
  }

  // Unknown values come last in either direction.
  sorted(features) {
    const { name, rising } = this.sort;
    const found = this.columns.find(([other]) => other === name);
    if (!found) return features;
    const values = found[3](this.embedding);
    const sign = rising ? 1 : -1;
    if (values === null) return features.sort((a, b) => sign * (a - b));
    if (name === "label") {
      return features.sort((a, b) =>
        !values[a] - !values[b] || sign * (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b));
    }
    const lacks = (i) => Number.isNaN(values[i]) || (name === "label_rank" && values[i] === 0);
    return features.sort((a, b) => lacks(a) - lacks(b) || sign * (values[a] - values[b]) || a - b);
  }

  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.view.length,
      Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + SPARE);
    const rows = [];
    if (first > 0) rows.push(this.gap(first));
    for (let at = first; at < last; at += 1) rows.push(this.row(at));
    if (last < this.view.length) rows.push(this.gap(this.view.length - last));
    if (!this.view.length) rows.push(this.nothing());
    this.table.tBodies[0].replaceChildren(...rows);
  }

  gap(n) {
    const cell = el("td", null);
    cell.style.height = `${n * ROW}px`;
    return el("tr", { "aria-hidden": "true", class: "gap" }, cell);
  }

  nothing() {
    return el("tr", { class: "nothing" }, el("td", { colspan: this.columns.length }, "No feature matches"));
  }

  row(at) {
    const i = this.view[at];
    const source = this.embedding.source.name;
    const cells = this.columns.map(([name, , , , cell, kind]) => {
      if (name === "feature") {
        return el("td", { class: kind }, el("a", { href: this.hrefOf(this.embedding.source, i) }, String(i)));
      }
      if (name === "verdict") return el("td", { class: kind }, verdictOf(source, i)?.verdict ?? "");
      return el("td", { class: kind }, cell(i, this.embedding, this.report.statuses));
    });
    return el("tr", { "data-feature": i, "data-source": source, "aria-rowindex": at + 2,
      "aria-current": at === this.selected ? "true" : null }, cells);
  }

  select(at) {
    if (!this.view.length) return;
    this.selected = Math.max(0, Math.min(this.view.length - 1, at));
    const top = this.selected * ROW;
    const head = this.table.tHead.offsetHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const low = top + ROW + head - this.box.clientHeight;
    if (low > this.box.scrollTop) this.box.scrollTop = low;
    this.draw();
  }

  selectFeature(feature) {
    const at = this.view.indexOf(feature);
    if (at >= 0 && at !== this.selected) this.select(at);
  }
}
