// The page: follows the daemon and says honestly when it can't.

import { Crowded, FRESH, TokenWanted, follow, hasToken, keepToken } from "./connection.js";
import { decided, offerRooms, refresh } from "./decisions.js";
import { cut, foreign } from "./elements.js";
import { showStatus } from "./now.js";
import { loadHistory, loadHistorySoon, offerHistory } from "./over-time.js";
import { daemonTime, setTime, tick } from "./time.js";
import { clock, lasting } from "./words.js";

const place = (id) => document.getElementById(id);

/** The last status document, and when it came by this browser's clock. */
let latest;
let heardAt;
/** Whether a stream has begun. */
let opened = false;
/** Whether it has told a status since. */
let connected = false;
/** Why there is no stream, as far as is known. */
let refusal;
let announced;

function takeStatus(status) {
  const isFirst = !connected;
  latest = status;
  heardAt = Date.now();
  connected = true;
  setTime(status.at);
  showStatus(status);
  offerRooms((status.rooms ?? []).map((room) => room.channel));
  offerHistory(status.history);
  if (isFirst) loadHistory();
  showState();
}

/** Whether what we know may be shown as how it is. */
const isLive = () => connected && heardAt !== undefined && Date.now() - heardAt <= FRESH;

function showState() {
  const live = isLive();
  document.body.classList.toggle("old", !live);
  const link = place("connection");
  link.dataset.link = live ? "live" : latest ? "lost" : "waiting";
  setText(link, live ? "Live" : refusal instanceof TokenWanted ? "Token needed" : latest ? "Not connected" : "Connecting");
  const state = live ? latest.health.state : "unknown";
  place("now").dataset.state = state;
  if (live) {
    setText(place("state-word"), capital(state));
    setForeign(place("state-reason"), latest.health.reason ?? "");
    const began = latest.health.since ? new Date(latest.health.since) : undefined;
    setText(place("state-since"), began ? `since ${clock(began)}, for ${lasting((daemonTime() - began) / 1000)}` : "");
  } else if (latest) {
    setText(place("state-word"), "Unknown");
    setText(place("state-reason"), whyUnknown());
    const [heard, ago] = [clock(heardAt), lasting((Date.now() - heardAt) / 1000)];
    setText(place("state-since"), `It was ${latest.health.state} at ${heard}, ${ago} ago. All below is as it was. Trying again by itself.`);
  } else {
    setText(place("state-word"), "Unknown");
    setText(place("state-reason"), whyUnknown());
    setText(place("state-since"), "Trying again by itself.");
  }
  document.title = `${live ? capital(state) : "Not connected"} · kryten-llm`;
  announce(live ? `The state is ${state}${latest.health.reason ? `: ${cut(latest.health.reason, 200)}` : ""}` : latest ? whyUnknown() : "");
}

/** Why nothing is known, or nothing new. */
function whyUnknown() {
  if (refusal instanceof Crowded) return "Too many pages follow the daemon already";
  if (latest) return `No connection to the daemon since ${clock(heardAt)}`;
  return opened ? "Waiting for the daemon's first word" : "No connection to the daemon yet";
}

/** Tells screen readers, once for each change. */
function announce(text) {
  if (text === announced) return;
  announced = text;
  place("announcer").textContent = text;
}

const capital = (word) => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;

function setText(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

function setForeign(where, text) {
  if (where.textContent !== text) where.replaceChildren(foreign(text, 500));
}

const following = follow({
  onOpen() {
    // Only a status says how the daemon is: what is known is of the stream before.
    opened = true;
    refusal = undefined;
    place("sign-in").hidden = true;
    place("content").hidden = false;
    refresh();
    showState();
  },
  onEvent(name, data) {
    if (name === "status") takeStatus(data);
    if (name === "decisions") decided(data.decisions ?? []);
    if (name === "transition") loadHistorySoon();
  },
  onLost(error) {
    connected = false;
    opened = false;
    refusal = error;
    if (error instanceof TokenWanted) askForToken();
    showState();
  },
});

function askForToken() {
  place("content").hidden = true;
  place("sign-in").hidden = false;
  place("token-answer").textContent = hasToken() ? "That token was refused." : "";
  place("token").focus();
}

place("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(place("token").value);
  place("token").value = "";
  following.again();
});

/** Ages go on only while they are known to. */
function eachSecond() {
  if (isLive()) tick();
  showState();
}
setInterval(eachSecond, 1000);
// Hidden pages are not given time: what they show is put right as soon as they are looked at.
document.addEventListener("visibilitychange", eachSecond);
