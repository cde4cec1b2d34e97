// The last decisions: "why didn't it answer me?"

import { badge, cut, element, foreign, show, wireName } from "./elements.js";
import { TokenWanted, read } from "./connection.js";
import { until } from "./time.js";
import { clock, kindOfReason, meaning } from "./words.js";

const MOST = 60;
const user = document.getElementById("filter-user");
const room = document.getElementById("filter-room");
const fired = document.getElementById("filter-fired");
const list = document.getElementById("decisions");
const note = document.getElementById("decisions-note");

/** Reasons whose figures would say once more what the reason means. */
const SAID = new Set(["own", "paused", "no_trigger", "loop_guard"]);

let timer;
let asked = 0;
/** Counts the questions: only the latest one's answer counts. */
let question = 0;
/** The query whose answer is shown. */
let shown;

/** Asks for the decisions that the filter wants, soon; many calls in a row are one question. */
export function refresh(pause = 0) {
  clearTimeout(timer);
  timer = setTimeout(load, Math.max(pause, asked + 1000 - Date.now()));
}

/** Takes in what was decided just now: the daemon is asked again where it could show. */
export function decided(news) {
  const shows = (entry) => !isWithoutChatter() || entry.decision === "reply" || kindOfReason(entry.reason) !== "unasked";
  if (news.some(shows)) refresh();
}

/** Offers these rooms in the filter. */
export function offerRooms(channels) {
  show(room, channels, () => [element("option", { value: "" }, "all"), ...channels.map((channel) => element("option", { value: channel }, cut(channel, 40)))]);
}

/** Whether chatter is left out; of one user all is shown, because who asks for one wants to know. */
const isWithoutChatter = () => fired.checked && !user.value.trim();

async function load() {
  asked = Date.now();
  question += 1;
  const mine = question;
  const query = new URLSearchParams({ limit: MOST });
  if (user.value.trim()) query.set("user", user.value.trim());
  if (room.value) query.set("channel", room.value);
  if (isWithoutChatter()) query.set("fired", "true");
  fired.disabled = Boolean(user.value.trim());
  try {
    const { decisions } = await read(`api/decisions?${query}`);
    if (mine !== question) return;
    shown = String(query);
    show(list, decisions, () => decisions.map(line));
    note.textContent = decisions.length > 0 ? "" : nothing();
  } catch (error) {
    if (mine !== question) return;
    // Nobody may take another filter's decisions for the answer.
    if (shown !== String(query)) show(list, null, () => []);
    const isRefused = error instanceof TokenWanted;
    note.textContent = `The decisions could not be read; ${isRefused ? "a token is needed" : "trying again"}.`;
    if (!isRefused) refresh(5000);
  }
}

function nothing() {
  return isWithoutChatter()
    ? "Nothing yet. What nobody meant for the bot is hidden: uncheck the box or give a user to see it."
    : "Nothing like that since the daemon started.";
}

/** The figures of a reason. A wait, which stands at their end, goes on counting. */
function figures({ timestamp, detail, retry_after_seconds: wait }) {
  const told = `again in ${wait} s`;
  if (!detail.endsWith(told)) return foreign(detail, 300);
  const end = new Date(timestamp).getTime() + wait * 1000;
  return [foreign(detail.slice(0, -told.length), 300), until(end, "again in ", "over by now")];
}

function line(entry) {
  const { timestamp, channel, username, message, decision, reason, detail } = entry;
  const replied = decision === "reply";
  const kind = replied ? (reason ? "warning" : "good") : { trouble: "bad", purpose: "warning", unasked: "plain" }[kindOfReason(reason)];
  const outcome = element("p", { class: "outcome" }, badge(kind, replied ? "replied" : "silent"));
  if (reason) outcome.append(" ", meaning(reason), " ", wireName(reason));
  if (detail && !SAID.has(reason)) outcome.append(" ", element("span", { class: "muted" }, figures(entry)));
  return element("li", {},
    element("p", { class: "said" },
      element("time", { datetime: timestamp, class: "muted" }, clock(timestamp)), " ",
      username ? element("strong", {}, foreign(username, 40)) : element("em", {}, "a film"),
      element("span", { class: "muted" }, " in ", foreign(channel, 40)), " ",
      element("span", { class: "message" }, foreign(message, 200))),
    outcome);
}

user.addEventListener("input", () => refresh(250));
room.addEventListener("change", () => refresh());
fired.addEventListener("change", () => refresh());
document.getElementById("decisions-filter").addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
