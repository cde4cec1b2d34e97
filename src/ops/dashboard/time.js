// Texts that go on counting between two messages of the daemon. All times in them are by the daemon's clock.

import { element } from "./elements.js";
import { clock, lasting } from "./words.js";

/** How far this browser's clock is ahead of the daemon's, in milliseconds. */
let ahead = 0;

/** Takes over the daemon's time from a message that came just now. */
export function setTime(at) {
  const theirs = new Date(at).getTime();
  if (!Number.isNaN(theirs)) ahead = Date.now() - theirs;
}

/** The daemon's time, in milliseconds. */
export const daemonTime = () => Date.now() - ahead;

/** "12 s ago", and so on by itself. */
export function since(at) {
  return counting({ "data-since": new Date(at).getTime(), datetime: at, title: clock(at) });
}

/** "in 12 s", and so on down to `end`. */
export function until(at, before = "in ", end = "now") {
  return counting({ "data-until": at, "data-before": before, "data-end": end });
}

function counting(attributes) {
  const made = element("time", attributes);
  count(made, daemonTime());
  return made;
}

function count(made, now) {
  const { since: from, until: to, before, end } = made.dataset;
  let text;
  if (from !== undefined) text = `${lasting((now - Number(from)) / 1000)} ago`;
  else text = Number(to) <= now ? end : `${before}${lasting((Number(to) - now) / 1000)}`;
  if (made.textContent !== text) made.textContent = text;
}

/** Brings all of them up to date. */
export function tick() {
  const now = daemonTime();
  for (const made of document.querySelectorAll("time[data-since], time[data-until]")) count(made, now);
}
