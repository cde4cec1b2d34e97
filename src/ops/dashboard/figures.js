// From the daemon's history to what is drawn: buckets, pieces of ribbons, sums. No page here.

import { kindOfReason } from "./words.js";

/** How long a bucket of the charts is, and a row of the table, in seconds. */
const SIZES = { "1h": [60, 300], "24h": [600, 3600], "7d": [3600, 86_400], "30d": [14_400, 86_400] };
/** From good to bad, as ribbons paint them. */
export const STATES = ["healthy", "no record", "degraded", "failing"];
export const STATUSES = ["ok", "unknown", "no record", "failed"];

/** The history with times in milliseconds, cut into buckets for charts and into rows for the table. */
export function prepare(history) {
  const from = Date.parse(history.from);
  const to = Math.max(from + 1, Date.parse(history.to));
  const step = history.step_seconds * 1000;
  const steps = (history.minutes ?? []).map((minute) => ({ ...minute, at: Date.parse(minute.at) }));
  const [chart, row] = (SIZES[history.range] ?? SIZES["24h"]).map((seconds) => Math.max(step, seconds * 1000));
  return { from, to, step, steps, size: chart, buckets: group(steps, chart), rows: group(steps, row), rowSize: row };
}

function group(steps, size) {
  const buckets = new Map();
  for (const step of steps) {
    const at = Math.floor(step.at / size) * size;
    if (!buckets.has(at)) buckets.set(at, { at, ...nothing() });
    add(buckets.get(at), step);
  }
  return [...buckets.values()].sort((one, other) => one.at - other.at);
}

const nothing = () => ({ messages: 0, replies: 0, errors: 0, silences: {}, prompt: 0, completion: 0 });

/** Counts are added up; of states and latencies the worst stays. */
function add(sum, step) {
  sum.messages += step.messages ?? 0;
  sum.replies += step.replies ?? 0;
  sum.errors += step.errors ?? 0;
  sum.prompt += step.tokens?.prompt ?? 0;
  sum.completion += step.tokens?.completion ?? 0;
  if (step.state && STATES.indexOf(step.state) >= STATES.indexOf(sum.state ?? "healthy")) sum.state = step.state;
  for (const [reason, count] of Object.entries(step.silences ?? {})) {
    sum.silences[reason] = (sum.silences[reason] ?? 0) + count;
  }
  for (const quantile of ["p50", "p90", "p99"]) {
    const value = step.latency_ms?.[quantile];
    if (typeof value === "number") sum[quantile] = Math.max(sum[quantile] ?? 0, value);
  }
}

/** How many silences of a kind (see `kindOfReason`) a bucket has. */
export function silencesOf(bucket, kind) {
  return Object.entries(bucket.silences).reduce((sum, [reason, count]) => sum + (kindOfReason(reason) === kind ? count : 0), 0);
}

/** The whole range as one bucket. */
export function total(steps) {
  const sum = nothing();
  steps.forEach((step) => add(sum, step));
  return sum;
}

/** The health ribbon: of a step that is missing there is no record. */
export function healthPieces({ from, to, step, steps }) {
  const pieces = [];
  let end = from;
  for (const { at, state } of steps) {
    const begin = Math.max(from, at);
    if (begin - end >= step) extend(pieces, end, begin, "no record");
    else if (pieces.length > 0) pieces[pieces.length - 1].to = begin;
    end = Math.min(to, at + step);
    if (end > begin) extend(pieces, begin, end, state);
  }
  // The step that runs has not been written yet.
  if (to - end > 2 * step) extend(pieces, end, to, "no record");
  else if (pieces.length > 0) pieces[pieces.length - 1].to = to;
  return pieces;
}

/** A provider's ribbon: its changes, laid over the times of which there is a record. */
export function providerPieces(name, history, health, { from, to }) {
  const changes = (history.providers ?? []).filter((change) => change.provider === name);
  const points = [{ at: from, status: history.providers_at_start?.[name] ?? changes[0]?.from ?? "unknown" }];
  changes.forEach((change) => points.push({ at: Math.max(from, Date.parse(change.at)), status: change.to }));
  const pieces = [];
  for (const piece of health) {
    if (piece.kind === "no record") {
      extend(pieces, piece.from, piece.to, piece.kind);
      continue;
    }
    points.forEach(({ at, status }, index) => {
      const begin = Math.max(at, piece.from);
      const end = Math.min(points[index + 1]?.at ?? to, piece.to);
      if (end > begin) extend(pieces, begin, end, status);
    });
  }
  return pieces;
}

/** The names of all providers that the history tells of. */
export function providerNames(history) {
  const names = new Set(Object.keys(history.providers_at_start ?? {}));
  (history.providers ?? []).forEach((change) => names.add(change.provider));
  return [...names];
}

function extend(pieces, from, to, kind) {
  const last = pieces[pieces.length - 1];
  if (last && last.kind === kind && last.to === from) last.to = to;
  else pieces.push({ from, to, kind });
}

/** The kinds that a ribbon has, from good to bad, for its legend. */
export function kindsOf(pieces, order) {
  return order.filter((kind) => pieces.some((piece) => piece.kind === kind)).map((kind) => ({ kind, name: kind }));
}

/** "healthy 99.2 %, failing 0.8 %". */
export function shares(pieces) {
  const sums = new Map();
  let all = 0;
  for (const { from, to, kind } of pieces) {
    sums.set(kind, (sums.get(kind) ?? 0) + to - from);
    all += to - from;
  }
  const share = (part) => {
    const percent = (part / all) * 100;
    // Neither "all of it" nor "nothing" while there is something of the other.
    if (percent > 99.9 && percent < 100) return "99.9";
    return percent < 0.1 ? "under 0.1" : percent.toLocaleString("en", { maximumFractionDigits: 1 });
  };
  return [...sums].sort((one, other) => other[1] - one[1]).map(([kind, part]) => `${kind} ${share(part)} %`).join(", ");
}
