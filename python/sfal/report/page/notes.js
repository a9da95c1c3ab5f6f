// What a reader should know before trusting the scores, and how they were made.
import { byId, el, fixed, share, whole } from "./dom.js";

const FEW_WINDOWS = 2000;
// A feature that fires in fewer windows has neighbours by accident.
const RARE = 20;
const MANY_RARE = 0.2;
// Share of the median by which more text raised it, and how many of its standard errors.
const STILL_RISING = 0.05;
const ERRORS = 2;

function* notesOf(source) {
  yield* source.notes;
  if (source.n_windows < FEW_WINDOWS) {
    yield `Only ${whole(source.n_windows)} windows were counted: scores and neighbours are uncertain.`;
  }
  if (source.unreliable_because) yield `No standard errors: ${source.unreliable_because}.`;
  for (const one of source.embeddings) {
    yield* one.notes;
    let rare = 0;
    for (let i = 0; i < one.status.length; i += 1) rare += one.status[i] === 0 && source.windows[i] < RARE;
    if (rare > MANY_RARE * one.nScored) {
      yield `${share(rare / one.nScored)} of the scored features fire in fewer than ${RARE} windows: ` +
        "their neighbours are uncertain.";
    }
    const { curve, se, n_features: n } = one.reliability;
    const [, half, all] = curve ?? [];
    if (all - half > Math.max(STILL_RISING * Math.abs(half), ERRORS * (se ?? 0))) {
      const labels = source.embeddings.length > 1 ? `Labels by ${one.labelledBy}, embedded by ${one.embedder}: half` : "Half";
      const over = n < one.nScored
        ? ` (over the ${whole(n)} of ${whole(one.nScored)} features that have a score in every part of the text)`
        : "";
      yield `${labels} of the text has a median of ${fixed(half)}, all of it ${fixed(all)}${over}: more text would ` +
        "raise it further; compare corrected scores.";
    }
  }
}

// Layers of one model are comparable if one explainer labelled them all.
function* notesOnExplainers(report) {
  for (const model of new Set(report.sources.map((source) => source.model))) {
    const sources = report.sources.filter((source) => source.model === model);
    const sets = new Set(sources.map((source) =>
      [...new Set(source.embeddings.map((one) => one.explainer))].sort().join(" and ")));
    if (sets.size > 1) {
      yield [`The layers of ${model} were labelled by different explainers (${[...sets].join("; ")}): ` +
        "their scores differ for that reason, too.", []];
    }
  }
}

// Return pairs of a note and the sources that it is about; none: all of them.
export function allNotes(report) {
  const found = new Map(notesOnExplainers(report));
  for (const source of report.sources) {
    for (const note of new Set(notesOf(source))) {
      if (!found.has(note)) found.set(note, []);
      found.get(note).push(source.name);
    }
  }
  if (report.n_kept !== null) {
    found.set("Neighbours are listed only for the best, the worst and the most frequent features, " +
      "because of the file\u2019s size.", []);
  }
  return [...found];
}

export function listed({ candidates }) {
  return candidates === "comparable" ? "features that fire, but not always, and have a label" : "all features";
}

function made({ measure, top_n: topN, candidates, ties }) {
  return `Neighbours: by ${measure}, among ${listed({ candidates })}; the first ${whole(topN)} count; ` +
    `those that tie ${ties === "average" ? "share their places" : "go by index"}.`;
}

export function drawNotes(report) {
  const several = report.sources.length > 1;
  const items = allNotes(report).map(([note, sources]) => {
    const about = several && sources.length && sources.length < report.sources.length;
    return el("li", null, note, about ? el("span", { class: "about" }, ` ${sources.join(", ")}`) : null);
  });
  byId("notes").replaceChildren(...items);
  byId("notes").hidden = items.length === 0;
  byId("made").replaceChildren(...new Set(report.sources.map(({ scoring }) => made(scoring))));
}
