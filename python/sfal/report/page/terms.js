// What the figures mean: one sentence each, for heads of columns and for the list of terms.
import { byId, el } from "./dom.js";

export const TERMS = {
  "Median score": "Median over the scored features, and its standard error, which comes from the choice of " +
    "documents. 1: the features that fire with a feature are those whose labels resemble its own; 0: a random order.",
  "Corrected": "What the score would be with endless text; compares sources that were counted on more or less of it.",
  "Label in best 1 %": "Share of the features whose own label is among the best 1 % of all labels for it.",
  "Halves": "Correlation, over features, of the scores from two halves of the documents.",
  "Planted errors": "How often a label that was exchanged on purpose ranks below a right one: 0.5 is chance, 1 is always.",
  "Coverage": "Of the features that fire, but not always, the share that has a label.",
  "95 % interval": "Range of the score over other choices of documents.",
  "Label rank": "Every label was tried on the feature: this many fit what it does at least as well as its own, itself included.",
  "p (label)": "Label rank over the number of labels: near 0 the label is among the best; above 0.05 it is one to check.",
  "p (chance)": "Probability that a random order scores as much.",
  "Ceiling": "How well the feature\u2019s co-occurrence agrees with itself on other text: no label can be expected to score more than its square root.",
  "NDCG": "Raw agreement of both lists, before the score sets chance to 0.",
};

export function drawTerms(shown) {
  const known = Object.entries(TERMS).filter(([name]) => shown.includes(name));
  byId("terms").replaceChildren(...known.flatMap(([name, meaning]) => [el("dt", null, name), el("dd", null, meaning)]));
}
