// The page's own checks, run by report.html#selftest.
import { featureOf } from "./data.js";
import { byId, labelNode } from "./dom.js";
import { searchLabels } from "./search.js";
import { fetchLists } from "./served.js";
import { csvCell } from "./verdicts.js";
import { worstFirst } from "./worklist.js";

function* listProblems(report, embedding, index) {
  const view = featureOf(report, embedding, index);
  for (const [kind, other] of [["functional", "semantic"], ["semantic", "functional"]]) {
    const mine = view[kind] ?? [];
    const at = new Map((view[other] ?? []).map((one, i) => [one.feature, i + 1]));
    for (let i = 0; i < mine.length; i += 1) {
      if (i && mine[i].value > mine[i - 1].value) yield `${kind} list of ${index} is not in order`;
      if (mine[i].feature === index) yield `${index} is its own neighbour`;
      // Features that are listed for a tie take places, but are not shown.
      if (at.has(mine[i].feature) && !(mine[i].place >= at.get(mine[i].feature))) {
        yield `place of ${mine[i].feature} near ${index}`;
      }
    }
  }
  for (const [i, one] of view.opposites.entries()) {
    if (one.feature === index || one.value >= 0 || (i && one.value < view.opposites[i - 1].value)) {
      yield `the features that ${index} avoids`;
    }
  }
  if ((view.status === "scored") !== Number.isFinite(view.sfal)) yield `status of ${index}`;
}

function* problems(report) {
  let n = 0;
  for (const source of report.sources) {
    for (const embedding of source.embeddings) {
      const step = Math.max(1, Math.floor(source.n_features / 500));
      for (let i = 0; i < source.n_features; i += step) {
        yield* listProblems(report, embedding, i);
        n += 1;
      }
      if (searchLabels(embedding, "").length !== source.n_features) yield "the empty search";
      if (searchLabels(embedding, "0")[0] !== 0) yield "the search for a number";
      if (searchLabels(embedding, "/(/") !== null) yield "a broken regular expression";
      const p = embedding.columns.p_label;
      const order = worstFirst(report, embedding);
      if (p && order.some((feature, i) => i && p[feature] > p[order[i - 1]])) yield "the worklist's order";
      n += 4;
    }
  }
  const hostile = "<\/script><img src=x onerror=alert(1)>";
  const node = labelNode(hostile);
  if (node.childElementCount || node.textContent !== hostile) yield "a label is not text";
  if (csvCell("=1+1") !== "'=1+1" || csvCell('a"b,c') !== '"a""b,c"') yield "quoting of CSV";
  return n + 2;
}

export async function runSelftest(report) {
  for (const { embeddings, n_features: n } of report.sources) {
    for (const one of embeddings) {
      for (const index of [0, 1, Math.floor(n / 2), n - 1]) await fetchLists(one, Math.min(index, n - 1));
    }
  }
  const found = [];
  const checks = problems(report);
  let step = checks.next();
  for (; !step.done; step = checks.next()) found.push(step.value);
  const output = byId("selftest");
  output.hidden = false;
  output.textContent = found.length ? `FAIL ${found.slice(0, 20).join("; ")}` : `PASS ${step.value}`;
}
