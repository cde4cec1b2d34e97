// How it was: ribbons, charts, the same as tables.

import { bars, curves, plot, ribbon } from "./charts.js";
import { TokenWanted, read } from "./connection.js";
import { badge, cut, element, foreign, show, table, wireName } from "./elements.js";
import { STATES, STATUSES, healthPieces, kindsOf, prepare, providerNames, providerPieces, shares, silencesOf, total } from "./figures.js";
import { clock, figure, kindOf, kindOfReason, meaning, milliseconds } from "./words.js";

const place = document.getElementById("history");
const note = document.getElementById("history-note");
const buttons = [...document.querySelectorAll("#ranges button")];

const health = plot("Health");
const providers = new Map();
const ribbons = element("div", { class: "card ribbons" }, health.figure);
const providerRibbons = element("div", {});
ribbons.append(providerRibbons);
const details = element("div", { class: "columns two" });

const count = (kind, name, value) => ({ kind, name, value });
const CHARTS = [
  { title: "Messages", form: bars, series: [count("one", "messages", (bucket) => bucket.messages)] },
  { title: "Replies", form: bars, series: [count("one", "replies", (bucket) => bucket.replies)] },
  {
    title: "Silences",
    form: bars,
    series: [
      count("one", "on purpose", (bucket) => silencesOf(bucket, "purpose")),
      count("bad", "trouble", (bucket) => silencesOf(bucket, "trouble")),
    ],
  },
  { title: "Errors", form: bars, series: [count("bad", "errors", (bucket) => bucket.errors)] },
  {
    title: "Latency of replies",
    form: curves,
    unit: milliseconds,
    series: ["p50", "p90", "p99"].map((name) => count(name, name, (bucket) => bucket[name])),
  },
  {
    title: "Tokens",
    form: bars,
    series: [count("one", "prompt", (bucket) => bucket.prompt), count("two", "completion", (bucket) => bucket.completion)],
  },
].map((chart) => ({ ...chart, plot: plot(chart.title) }));

/** After a reading that failed, in milliseconds. */
const AGAIN = 5000;
/** The daemon gives a slow line so long. */
const SLOWEST = 60_000;
/** A change of state is written down a second or so after it is told; in milliseconds. */
const WRITTEN = 2500;

let range = "24h";
let latest;
/** Why the latest reading failed; none when it did not. */
let failure;
/** The reading under way. */
let reading;
let soon;
let isOff = false;

/** Shows the range of the history, and again each minute. While it is read, it is not begun anew, but read once more after that. */
export async function loadHistory() {
  if (isOff) return;
  if (reading?.range === range) {
    reading.isOld = true;
    return;
  }
  reading?.ending.abort();
  const own = { range, ending: new AbortController(), isOld: false };
  reading = own;
  const patience = setTimeout(() => own.ending.abort(), SLOWEST);
  // Another range's charts stand there meanwhile.
  place.setAttribute("aria-busy", String(latest !== undefined && latest.range !== range));
  try {
    const history = await read(`api/history?range=${range}`, own.ending.signal);
    if (reading !== own) return;
    latest = history;
    failure = undefined;
    draw();
  } catch (error) {
    if (reading !== own) return;
    failure = error;
    if (!(error instanceof TokenWanted)) setTimeout(() => failure === error && loadHistory(), AGAIN);
    // Nothing old may stand under another range's button.
    if (latest && latest.range !== range) {
      latest = undefined;
      place.replaceChildren();
    }
  } finally {
    clearTimeout(patience);
  }
  reading = undefined;
  place.setAttribute("aria-busy", "false");
  tell();
  if (own.isOld && !failure) loadHistory();
}

/** Shows the history when what was told just now is in it; many calls in a row are one reading. */
export function loadHistorySoon() {
  clearTimeout(soon);
  soon = setTimeout(loadHistory, WRITTEN);
}

/** Says what the charts don't: why there are none, or that they are old. */
function tell() {
  const known = latest ? ` This is as of ${clock(latest.to)}.` : "";
  const why = failure?.reason ? [": ", foreign(failure.reason, 300)] : [];
  if (isOff) note.textContent = "The history is off (history.enabled).";
  else if (failure instanceof TokenWanted) note.textContent = `The history could not be read.${known} A token is needed.`;
  else if (failure) note.replaceChildren("The history could not be read", ...why, `.${known} Trying again.`);
  else note.textContent = latest?.minutes?.length === 0 ? "Nothing has been written down for this range yet." : "";
}

/** What a status document says of the history. */
export function offerHistory(history) {
  isOff = history?.enabled === false;
  place.hidden = isOff;
  document.getElementById("ranges").hidden = isOff;
  tell();
}

function draw() {
  if (!latest) return;
  if (!ribbons.isConnected) {
    place.append(ribbons, element("div", { class: "charts" }, CHARTS.map((chart) => element("div", { class: "card" }, chart.plot.figure))), details);
  }
  const data = prepare(latest);
  const pieces = healthPieces(data);
  drawRibbon(health, data, pieces, STATES);
  drawProviders(data, pieces);
  const sum = total(data.steps);
  CHARTS.forEach((chart) => drawChart(chart, data, sum));
  show(details, latest, () => [transitions(latest), silences(sum), summary(data)]);
}

function drawRibbon(into, data, pieces, order) {
  const at = (time) => pieces.find(({ from, to }) => from <= time && time < to);
  into.fill({
    ...data,
    step: data.size,
    height: 46,
    keys: kindsOf(pieces, order),
    summary: shares(pieces) || "nothing is known",
    paint: (frame) => ribbon({ ...frame, top: 2 }, pieces, order),
    read(time) {
      const piece = at(time);
      return piece ? `${piece.kind} from ${clock(piece.from)} to ${clock(piece.to)}` : clock(time);
    },
  });
}

function drawProviders(data, pieces) {
  const names = providerNames(latest);
  for (const name of names) if (!providers.has(name)) providers.set(name, plot(`Provider ${cut(name, 60)}`));
  for (const name of [...providers.keys()]) if (!names.includes(name)) providers.delete(name);
  show(providerRibbons, names, () => names.map((name) => providers.get(name).figure));
  for (const name of names) drawRibbon(providers.get(name), data, providerPieces(name, latest, pieces, data), STATUSES);
}

function drawChart({ plot: into, form, series, unit = figure }, data, sum) {
  const { buckets, size } = data;
  const isCurve = form === curves;
  const values = (bucket) => series.map(({ name, value }) => `${series.length > 1 ? `${name} ` : ""}${unit(value(bucket))}`).join(", ");
  const hasAny = series.some(({ value }) => value(sum) > 0);
  into.fill({
    ...data,
    step: size,
    height: 168,
    keys: series,
    summary: hasAny ? `${values(sum)}${isCurve ? " at worst" : " in all"}` : "none",
    paint: (frame) => form(frame, { buckets, size, series, unit: isCurve ? unit : undefined }),
    read(time) {
      const bucket = buckets.find(({ at }) => at <= time && time < at + size);
      const when = `${clock(Math.floor(time / size) * size, { seconds: false })}: `;
      return when + (bucket ? values(bucket) : "no record");
    },
  });
}

const card = (title, ...children) => element("section", { class: "card" }, element("h3", {}, title), ...children);

function transitions({ transitions: list = [] }) {
  const newest = list.slice(-30).reverse();
  if (newest.length === 0) return card("Changes of state", element("p", { class: "muted" }, "None in this range."));
  return card("Changes of state", element("ol", { class: "rows scroll", tabindex: "0", "aria-label": "Changes of state" }, newest.map(({ at, from, to, reason }) =>
    element("li", {},
      element("span", { class: "row-head" }, element("time", { datetime: at, class: "muted" }, clock(at)), element("span", {}, from ? `${from} to ` : "started: ", badge(kindOf(to), to))),
      reason && element("span", { class: "row-note" }, foreign(reason, 300))))));
}

function silences(sum) {
  const reasons = Object.entries(sum.silences).filter(([, number]) => number > 0).sort((one, other) => other[1] - one[1]);
  if (reasons.length === 0) return card("Silences by reason", element("p", { class: "muted" }, "None in this range."));
  const word = { trouble: badge("bad", "trouble"), purpose: badge("warning", "on purpose"), unasked: badge("plain", "not asked") };
  const rows = reasons.map(([reason, number]) => ({
    cells: [wireName(reason), word[kindOfReason(reason)].cloneNode(true), figure(number)],
    note: element("span", { class: "muted" }, meaning(reason)),
  }));
  return card("Silences by reason", table("Silences by reason in this range", ["Reason", "Kind", "Times"], rows, { class: "counts" }));
}

/** The charts' figures for whoever can't see the charts. */
function summary({ rows, rowSize }) {
  const heads = ["From", "State", "Messages", "Replies", "Silences", "Errors", "p50", "p90", "p99", "Tokens"];
  const lines = rows.map((row) => [
    clock(row.at, { seconds: false }), row.state ?? "–", figure(row.messages), figure(row.replies),
    figure(silencesOf(row, "purpose") + silencesOf(row, "trouble")), figure(row.errors),
    milliseconds(row.p50), milliseconds(row.p90), milliseconds(row.p99), figure(row.prompt + row.completion),
  ]);
  const each = rowSize >= 86_400_000 ? "day" : rowSize >= 3_600_000 ? "hour" : `${Math.round(rowSize / 60_000)} minutes`;
  return element("details", { class: "card wide whole", "data-name": "charts" },
    element("summary", {}, "The charts as a table"),
    element("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "The charts as a table" },
      table(`Worst state, sums and worst latency, by ${each}`, heads, lines, { class: "figures-table" })));
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    range = button.dataset.range;
    for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
    loadHistory();
  });
}
let drawnWidth = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width !== drawnWidth) draw();
  drawnWidth = contentRect.width;
}).observe(place);
setInterval(loadHistory, 60_000);
