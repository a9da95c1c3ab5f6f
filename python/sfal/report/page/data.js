// The sources of the page, decoded.
import { readBlock, readIndex } from "./blocks.js";
import { quantile } from "./dom.js";

const NOT_KEPT = 255;

async function readAll(specs) {
  const entries = Object.entries(specs).map(async ([name, spec]) => [name, await readBlock(spec)]);
  return Object.fromEntries(await Promise.all(entries));
}

async function readEmbedding(facts, source, number) {
  const { labels, status } = await readAll({ labels: facts.labels, status: facts.status });
  const embedding = {
    ...facts,
    labels,
    status,
    source,
    number,
    functional: facts.functional && (await readAll(facts.functional)),
    semantic: facts.semantic && (await readAll(facts.semantic)),
    nearest: new Map(),
    lists: facts.semantic ? null : new Map(),
    columns: await readAll(facts.columns),
    better: facts.better && (await readAll(facts.better)),
    lower: null,
  };
  embedding.nScored = status.reduce((n, code) => n + (code === 0), 0);
  return embedding;
}

async function readSource(facts) {
  const source = { ...facts, windows: await readBlock(facts.windows) };
  source.examples = facts.examples && (await readBlock(facts.examples));
  source.opposites = facts.opposites && (await readAll(facts.opposites));
  source.embeddings = await Promise.all(
    facts.embeddings.map((one, number) => readEmbedding(one, source, number)));
  nameEmbeddings(source.embeddings);
  return source;
}

// An explainer with its type where it made several sets, and a name that tells apart all sets.
function nameEmbeddings(embeddings) {
  const isOnly = embeddings.every((one) => one.embedder === embeddings[0].embedder);
  for (const one of embeddings) {
    const beside = embeddings.filter((other) => other.embedder === one.embedder);
    const isShared = beside.some((other) => other !== one && other.explainer === one.explainer);
    const end = `_${one.explainer}`;
    const type = one.stem.endsWith(end) ? one.stem.slice(0, -end.length) : one.stem;
    one.labelledBy = isShared ? `${type} by ${one.explainer}` : one.explainer;
    if (beside.length === 1) one.name = one.embedder;
    else one.name = isOnly ? one.labelledBy : `${one.embedder} (${one.labelledBy})`;
  }
}

export async function loadReport() {
  const index = await readIndex();
  index.sources = await Promise.all(index.sources.map(readSource));
  return index;
}

// Return undefined where the page leaves the list out for its size.
function neighbours(lists, index, shown) {
  const n = lists.n[index];
  if (n === NOT_KEPT) return undefined;
  return Array.from({ length: n }, (_, i) => {
    const at = index * shown + i;
    return { feature: lists.feature[at], value: lists.value[at], place: lists.place[at] || null };
  });
}

// The lists of a page that is served are known once they are fetched.
function listsOf(report, embedding, index) {
  const { source, functional, semantic, lists } = embedding;
  if (lists) return lists.get(index) ?? {};
  return {
    functional: neighbours(functional, index, report.shown),
    semantic: neighbours(semantic, index, report.shown),
    opposites: opposites(source.opposites, index),
    examples: source.examples?.[index],
  };
}

// Features that fire together with this one least, and their phi.
function opposites({ n, feature, thousandths }, index) {
  const width = feature.length / n.length;
  return Array.from({ length: n[index] }, (_, i) =>
    ({ feature: feature[index * width + i], value: -thousandths[index * width + i] / 1000 }));
}

// Return the features that fire most with one; none where the page does not know them.
export function nearestOf(report, embedding, index, most) {
  if (report.served) return embedding.nearest.get(index)?.slice(0, most) ?? [];
  const { n, feature } = embedding.functional;
  if (n[index] === NOT_KEPT) return [];
  const first = index * report.shown;
  return Array.from(feature.subarray(first, first + Math.min(most, n[index])));
}

export function betterLabels(embedding, index) {
  const { better, labels } = embedding;
  if (!better) return [];
  const width = better.feature.length / labels.length;
  return Array.from({ length: better.n[index] }, (_, i) => {
    const feature = better.feature[index * width + i];
    return { feature, sfal: better.sfal[index * width + i], label: labels[feature] };
  });
}

export function featureOf(report, embedding, index) {
  const { source } = embedding;
  if (!(Number.isInteger(index) && index >= 0 && index < source.n_features)) return null;
  const view = {
    source: source.name,
    feature: index,
    embedding: embedding.name,
    label: embedding.labels[index],
    status: report.statuses[embedding.status[index]],
    windows: source.windows[index],
    chance: embedding.chance,
  };
  for (const [name, values] of Object.entries(embedding.columns)) view[name] = values[index];
  const lists = listsOf(report, embedding, index);
  view.functional = lists.functional;
  view.semantic = lists.semantic;
  view.opposites = lists.opposites ?? [];
  view.better_labels = betterLabels(embedding, index);
  view.examples = (lists.examples ?? []).map(([before, token, after]) => ({ before, token, after }));
  return view;
}

// Return the source with the highest median score, by its first set of embeddings.
export function bestSource({ sources }) {
  const medians = sources.map(({ embeddings: [one] }) => quantile(one.columns.sfal, 0.5));
  const best = Math.max(...medians.filter(Number.isFinite));
  return sources[Math.max(0, medians.indexOf(best))];
}

export function findSource(report, name) {
  return report.sources.find((source) => source.name === name) ?? null;
}
