// Labels by words, by a regular expression, or by the number of a feature.

function lowered(embedding) {
  embedding.lower ??= embedding.labels.map((label) => label.toLowerCase());
  return embedding.lower;
}

function matching(items, test) {
  const found = [];
  for (let i = 0; i < items.length; i += 1) if (test(items[i])) found.push(i);
  return found;
}

// Return feature indices, or null where a regular expression is not complete.
export function searchLabels(embedding, text) {
  const query = text.trim();
  if (query.length > 2 && query.startsWith("/") && query.endsWith("/")) {
    let pattern;
    try {
      pattern = new RegExp(query.slice(1, -1), "iu");
    } catch {
      return null;
    }
    return matching(embedding.labels, (label) => pattern.test(label));
  }
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = matching(lowered(embedding), (label) => words.every((word) => label.includes(word)));
  const number = /^\d+$/.test(query) ? Number(query) : -1;
  if (number < 0 || number >= embedding.labels.length) return found;
  return [number, ...found.filter((feature) => feature !== number)];
}
