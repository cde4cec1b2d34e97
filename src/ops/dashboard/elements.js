// Making elements. What comes from outside is only ever set as text.

/** An element with attributes and children, in lists or not; texts become text nodes, what is not there nothing. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  set(made, attributes, children);
  return made;
}

/** The same for the elements of drawings. */
export function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(made, attributes, children);
  return made;
}

function set(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter(isThere));
}

const isThere = (child) => child !== undefined && child !== null && child !== "" && child !== false;

/** A text of other people's: cut to `most` characters, and kept from turning what stands beside it. */
export function foreign(text, most = 200) {
  return element("bdi", {}, cut(String(text ?? ""), most));
}

/** A name with underscores, after each of which it may go on in another line. */
export function wireName(name) {
  const parts = cut(String(name ?? ""), 40).split("_");
  return element("code", {}, element("bdi", {}, parts.flatMap((part, at) => (at > 0 ? ["_", element("wbr"), part] : [part]))));
}

/** The beginning of a text, with a sign that it goes on. */
export function cut(text, most) {
  // A letter has at most two of JavaScript's units; only the beginning of a huge text is looked at.
  const letters = [...text.slice(0, (most + 1) * 2)];
  return letters.length > most ? `${letters.slice(0, most).join("")}…` : text;
}

/** A share of a whole as a bar; words beside it say the same. */
export function bar(share, kind) {
  const filled = element("span", { class: "bar-filled", "data-kind": kind });
  filled.style.width = `${Math.max(0, Math.min(1, share || 0)) * 100}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, filled);
}

/** A word with a mark whose shape and colour say the same. */
export function badge(kind, word) {
  return element("span", { class: "badge", "data-kind": kind }, word);
}

/** A table whose first column heads its rows. A row is a list of cells, or `cells` with a `note` on a line below them. */
export function table(caption, heads, rows, attributes = {}) {
  const row = ({ cells, note }) => [
    element("tr", {}, cells.map((cell, at) => (at === 0 ? element("th", { scope: "row" }, cell) : element("td", {}, cell)))),
    note && element("tr", { class: "note" }, element("td", { colspan: heads.length }, note)),
  ];
  return element(
    "table",
    attributes,
    element("caption", { class: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, rows.map((one) => row(Array.isArray(one) ? { cells: one } : one))),
  );
}

const drawnBefore = new WeakMap();

/**
 * Fills `place` with what `make` gives for `data`, unless it shows just that already. Of the `<details>` with a
 * `data-name` those that were open stay open, and one that had the focus keeps it.
 */
export function show(place, data, make) {
  const key = JSON.stringify(data) ?? "";
  if (drawnBefore.get(place) === key) return;
  drawnBefore.set(place, key);
  const named = () => [...place.querySelectorAll("details[data-name]")];
  const open = named().filter((details) => details.open).map(({ dataset }) => dataset.name);
  const focused = named().find((details) => details.contains(document.activeElement))?.dataset.name;
  place.replaceChildren(...[make(data)].flat(Infinity).filter(isThere));
  for (const details of named()) {
    details.open = open.includes(details.dataset.name);
    if (details.dataset.name === focused) details.querySelector("summary").focus({ preventScroll: true });
  }
}
