// What the reader decided about labels, kept in the browser.

export const VERDICTS = { right: "Right", wrong: "Wrong", unsure: "Unsure" };

// All pages opened from files share one storage, so the key names this page's content.
const storageKey = () => `sfal-verdicts-${document.body.dataset.key}`;

const given = new Map();

export function loadVerdicts() {
  try {
    for (const one of JSON.parse(localStorage.getItem(storageKey()) ?? "[]")) {
      given.set(`${one.feature} ${one.source}`, one);
    }
  } catch {
    // A browser without storage still shows verdicts until the page is closed.
  }
}

function save() {
  try {
    localStorage.setItem(storageKey(), JSON.stringify([...given.values()]));
  } catch {
    // As above.
  }
}

export function verdictOf(source, feature) {
  return given.get(`${feature} ${source}`) ?? null;
}

export function nVerdicts() {
  return given.size;
}

// The same verdict again takes it back.
export function toggleVerdict(source, feature, verdict) {
  const key = `${feature} ${source}`;
  if (given.get(key)?.verdict === verdict) given.delete(key);
  else given.set(key, { source, feature, verdict, better_feature: null, better_label: null });
  save();
}

export function chooseBetter(source, feature, better) {
  const key = `${feature} ${source}`;
  const chosen = given.get(key)?.better_feature === better.feature;
  given.set(key, {
    source,
    feature,
    verdict: "wrong",
    better_feature: chosen ? null : better.feature,
    better_label: chosen ? null : better.label,
  });
  save();
}

// A spreadsheet would run a cell that begins like a formula.
export function csvCell(value) {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function verdictsCsv() {
  const names = ["source", "feature", "verdict", "better_feature", "better_label"];
  const order = (a, b) => (a.source < b.source ? -1 : a.source > b.source ? 1 : a.feature - b.feature);
  const rows = [...given.values()].sort(order).map((one) => names.map((name) => csvCell(one[name])));
  return [names, ...rows].map((row) => `${row.join(",")}\n`).join("");
}

export function downloadVerdicts() {
  const address = URL.createObjectURL(new Blob([verdictsCsv()], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "verdicts.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
