// Drawings over time: bars, lines and ribbons with axes, and a cursor that pointer and keys move.

import { drawn, element } from "./elements.js";
import { brief } from "./words.js";

const LEFT = 50;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;

/** An empty drawing. `fill` draws it, again and again, without taking the focus from it. */
export function plot(title) {
  const summary = element("p", { class: "readout" });
  const legend = element("p", { class: "legend", hidden: true });
  const stage = element("div", { class: "stage", tabindex: "0", role: "group", "aria-label": `${title}; the arrow keys read single values` });
  const figure = element("figure", { class: "plot" }, element("figcaption", {}, title), legend, summary, stage);
  let shown;
  let at;

  function readOut(time) {
    at = time === undefined ? undefined : Math.max(shown.from, Math.min(shown.to - 1, time));
    shown.cursor.setAttribute("visibility", at === undefined ? "hidden" : "visible");
    if (at !== undefined) {
      const x = shown.x(at);
      shown.cursor.setAttribute("x1", x);
      shown.cursor.setAttribute("x2", x);
    }
    summary.textContent = at === undefined ? shown.summary : shown.read(at);
  }

  stage.addEventListener("pointermove", (event) => {
    if (shown) readOut(shown.time(event.clientX - stage.getBoundingClientRect().left));
  });
  stage.addEventListener("pointerleave", () => shown && readOut());
  stage.addEventListener("focus", () => summary.setAttribute("aria-live", "polite"));
  stage.addEventListener("blur", () => {
    summary.removeAttribute("aria-live");
    if (shown) readOut();
  });
  stage.addEventListener("keydown", (event) => {
    if (!shown) return;
    const now = at ?? shown.to;
    const goal = { ArrowLeft: now - shown.step, ArrowRight: now + shown.step, Home: shown.from, End: shown.to - 1 }[event.key];
    if (event.key === "Escape") readOut();
    if (goal === undefined) return;
    event.preventDefault();
    readOut(goal);
  });

  /** `what`: from, to and step in milliseconds, height, keys (what the colours stand for), summary, read(time), paint(frame). */
  function fill(what) {
    const width = Math.max(200, stage.clientWidth);
    const inner = width - LEFT - RIGHT;
    const x = (time) => LEFT + ((time - what.from) / (what.to - what.from)) * inner;
    const time = (pixels) => what.from + ((pixels - LEFT) / inner) * (what.to - what.from);
    const cursor = drawn("line", { class: "cursor", y1: 0, y2: what.height - BOTTOM, visibility: "hidden" });
    shown = { ...what, x, time, cursor };
    const frame = { x, width, left: LEFT, right: width - RIGHT, top: TOP, bottom: what.height - BOTTOM };
    const drawing = drawn(
      "svg",
      { viewBox: `0 0 ${width} ${what.height}`, width, height: what.height, role: "img", "aria-label": `${title}: ${what.summary}` },
      what.paint(frame),
      times(frame, what),
      cursor,
    );
    stage.replaceChildren(drawing);
    legend.hidden = what.keys.length < 2;
    legend.replaceChildren(...what.keys.map(({ name, kind }) => element("span", { class: "key", "data-kind": kind }, name)));
    readOut(at);
  }

  return { figure, fill };
}

/** Bars that stand on each other, one pile for each bucket. */
export function bars(frame, { buckets, size, series, unit = brief }) {
  const value = (bucket) => series.reduce((sum, one) => sum + (one.value(bucket) ?? 0), 0);
  const { y, lines } = heights(frame, Math.max(0, ...buckets.map(value)), unit);
  const piles = buckets.flatMap((bucket) => {
    const left = frame.x(bucket.at);
    const width = Math.max(1, frame.x(bucket.at + size) - left - 1);
    let sum = 0;
    return series.flatMap(({ kind, value: of }) => {
      const part = of(bucket) ?? 0;
      if (part <= 0) return [];
      const base = y(sum);
      sum += part;
      // What is there is seen, however little it is.
      const height = Math.max(1.5, base - y(sum));
      return [drawn("rect", { class: "bar-part", "data-kind": kind, x: left, y: base - height, width, height })];
    });
  });
  return [lines, piles];
}

/** Lines with gaps where nothing was measured. */
export function curves(frame, { buckets, size, series, unit = brief }) {
  const all = buckets.flatMap((bucket) => series.map(({ value }) => value(bucket) ?? 0));
  const { y, lines } = heights(frame, Math.max(0, ...all), unit);
  const paths = series.flatMap(({ kind, value }) => {
    let path = "";
    let before;
    const dots = [];
    buckets.forEach((bucket, index) => {
      const measured = value(bucket);
      if (measured === undefined) return;
      const [left, top] = [frame.x(bucket.at + size / 2).toFixed(1), y(measured).toFixed(1)];
      const goesOn = before !== undefined && bucket.at - before <= size * 1.5;
      const next = buckets[index + 1];
      const isAlone = !goesOn && !(next && value(next) !== undefined && next.at - bucket.at <= size * 1.5);
      if (isAlone) dots.push(drawn("circle", { class: "dot", "data-kind": kind, cx: left, cy: top, r: 2.5 }));
      path += `${goesOn ? "L" : "M"}${left} ${top}`;
      before = bucket.at;
    });
    return [drawn("path", { class: "curve", "data-kind": kind, d: path }), ...dots];
  });
  return [lines, paths];
}

/** Pieces of time side by side; what is worse is painted over what is better, and never too thin to see. */
export function ribbon(frame, pieces, order) {
  const sorted = [...pieces].sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind));
  return sorted.map(({ from, to, kind }) => {
    const left = frame.x(from);
    const width = Math.max(2, frame.x(to) - left);
    return drawn("rect", { class: "piece", "data-state": kind, x: Math.min(left, frame.right - width), y: frame.top, width, height: frame.bottom - frame.top });
  });
}

/** The height of a value, and lines with their labels. */
function heights(frame, most, unit) {
  const top = roundUp(most);
  const y = (value) => frame.bottom - (value / top) * (frame.bottom - frame.top);
  const marks = top >= 2 ? [0, top / 2, top] : [0, top];
  const lines = marks.map((mark) => [
    drawn("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(mark), y2: y(mark) }),
    drawn("text", { class: "tick", x: frame.left - 6, y: y(mark) + 4, "text-anchor": "end" }, unit(mark)),
  ]);
  return { y, lines: lines.flat() };
}

/** The next of 1, 2, 4, 6, 10 times a power of ten. */
function roundUp(most) {
  if (!(most > 1)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 10].map((step) => step * power).find((step) => step >= most) ?? most;
}

const MINUTES = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720];
const DAYS = [1, 2, 5, 7, 10];
/** Labels so near to an end, in pixels, do not reach beyond it. */
const EDGE = 20;
/** The least room between two labels, in pixels. */
const APART = 60;

/** Labels along the time, at round hours and days of this browser. */
function times(frame, { from, to }) {
  const fits = (minutes) => ((frame.right - frame.left) * minutes * 60_000) / (to - from) >= APART;
  const minutes = MINUTES.find(fits);
  const days = DAYS.find((count) => fits(count * 1440)) ?? 15;
  const day = new Date(from);
  const label = [];
  for (let index = 0; ; index += 1) {
    const [date, minute] = minutes ? [day.getDate(), index * minutes] : [day.getDate() + index * days, 0];
    const time = new Date(day.getFullYear(), day.getMonth(), date, 0, minute);
    if (time > to) break;
    if (time < from) continue;
    const atMidnight = time.getHours() + time.getMinutes() === 0;
    const text = atMidnight
      ? time.toLocaleDateString("en-GB", { day: "numeric", month: "short" })
      : time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    const x = frame.x(time.getTime());
    const anchor = x > frame.right - EDGE ? "end" : x < frame.left + EDGE ? "start" : "middle";
    label.push(
      drawn("line", { class: "grid", x1: x, x2: x, y1: frame.bottom, y2: frame.bottom + 4 }),
      drawn("text", { class: "tick", x, y: frame.bottom + 16, "text-anchor": anchor }, text),
    );
  }
  return label;
}
