// What a page that `sfal browse` serves asks its server for: blocks, and lists of one feature.

const KEPT_LISTS = 300;

async function request(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new Error("sfal browse no longer answers");
  }
  if (answer.status === 409) throw new Error((await answer.json()).problem);
  if (!answer.ok) throw new Error("sfal browse does not have this any more; load the page again");
  return answer;
}

export async function fetchBlock(name) {
  return (await request(`blocks/${name}`)).text();
}

function fromRows(rows) {
  return rows.map(([feature, value, place]) => ({ feature, value, place: place || null }));
}

// Fetch the lists of a feature, unless they are known; say whether they were fetched.
export async function fetchLists(embedding, index) {
  const { lists, source } = embedding;
  if (!lists || lists.has(index)) return false;
  const found = await (await request(`lists/${source.state}/${embedding.number}/${index}`)).json();
  lists.set(index, {
    functional: fromRows(found.functional),
    semantic: fromRows(found.semantic),
    opposites: found.opposites.map(([feature, value]) => ({ feature, value })),
    examples: found.examples,
  });
  if (lists.size > KEPT_LISTS) lists.delete(lists.keys().next().value);
  return true;
}

// Fetch the features that fire most with each of several, for the worklist.
export async function fetchNearest({ nearest, number, source }, features) {
  const wanted = features.filter((feature) => !nearest.has(feature));
  if (!wanted.length) return false;
  const found = await (await request(`nearest/${source.state}/${number}/${wanted.join(",")}`)).json();
  for (const feature of wanted) nearest.set(feature, found[feature]);
  return true;
}
