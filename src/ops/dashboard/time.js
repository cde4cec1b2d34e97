// Texts that go on counting between two messages of the daemon.

import { element } from "./elements.js";
import { clock, lasting } from "./words.js";

/** "12 s ago", and so on by itself. `offset` is how far this browser's clock is ahead, in milliseconds. */
export function since(at, offset = 0, after = " ago") {
  return counting({ "data-since": new Date(at).getTime() + offset, "data-after": after, datetime: at, title: clock(at) });
}

/** "in 12 s", down to "now". */
export function until(seconds, before = "in ") {
  return counting({ "data-until": Date.now() + seconds * 1000, "data-before": before });
}

function counting(attributes) {
  const made = element("time", attributes);
  count(made, Date.now());
  return made;
}

function count(made, now) {
  const { since: from, until: to, after = "", before = "" } = made.dataset;
  let text;
  if (from !== undefined) text = `${lasting((now - Number(from)) / 1000)}${after}`;
  else text = Number(to) <= now ? "now" : `${before}${lasting((Number(to) - now) / 1000)}`;
  if (made.textContent !== text) made.textContent = text;
}

/** Brings all of them up to date. */
export function tick() {
  const now = Date.now();
  for (const made of document.querySelectorAll("time[data-since], time[data-until]")) count(made, now);
}
