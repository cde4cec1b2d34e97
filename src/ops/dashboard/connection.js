// Talking to the daemon: every request bears the token, and the stream comes back by itself.

const TOKEN = "kryten-llm token";
/** How long after the last word of the daemon what we know of it is old, in milliseconds. */
export const FRESH = 15_000;
/** Between tries, in milliseconds. */
const PAUSES = [1000, 2000, 3000, 5000];
/** What the daemon says when no more pages may follow it; any other 503 is of somebody between. */
const CROWDED = "too many listen already";
/** The most that is kept of an event which has not ended, in characters. */
const LONGEST_EVENT = 4 << 20;

/** The daemon wants a token, or another one. */
export class TokenWanted extends Error {}

/** Too many pages follow the daemon. */
export class Crowded extends Error {}

/** The daemon could not answer; `reason` is what it says of that, if anything. */
export class Unanswered extends Error {
  constructor(message, reason) {
    super(message);
    this.reason = reason;
  }
}

/** The token that was refused last, or null when it was refused that there was none. */
let refused;

export function keepToken(token) {
  refused = undefined;
  sessionStorage.setItem(TOKEN, token);
}

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

/** Once a token was refused, nothing is asked before there is another one. */
async function ask(path, options = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token === refused) throw new TokenWanted();
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(path, { cache: "no-store", credentials: "omit", ...options, headers });
  if (answer.status === 401) {
    refused = token;
    throw new TokenWanted();
  }
  if (!answer.ok) throw failure(path, answer.status, await answer.text());
  return answer;
}

function failure(path, status, text) {
  if (status === 503 && text.includes(CROWDED)) return new Crowded();
  let reason;
  try {
    reason = JSON.parse(text).error;
  } catch {
    // It is of somebody between, or there is no more to say.
  }
  return new Unanswered(`${path} was answered with ${status}`, typeof reason === "string" ? reason : undefined);
}

/** What the daemon says at `path`, as data, unless `signal` ends that. */
export async function read(path, signal = AbortSignal.timeout(10_000)) {
  return (await ask(path, { signal })).json();
}

/**
 * Follows the daemon's events for as long as the page is open. `onOpen` is called when a stream
 * begins, `onEvent(name, data)` for each event, `onLost(error)` when a stream is lost. After
 * [`TokenWanted`] it waits until `again()` is called, after [`Crowded`] it does not hurry.
 */
export function follow({ onOpen, onEvent, onLost }) {
  let wake = () => {};
  (async () => {
    for (let tries = 0; ; tries += 1) {
      let error;
      try {
        await stream((name, data) => {
          tries = 0;
          onEvent(name, data);
        }, onOpen);
      } catch (thrown) {
        error = thrown;
      }
      onLost(error);
      const pause = (error instanceof Crowded ? undefined : PAUSES[tries]) ?? PAUSES.at(-1);
      await new Promise((resolve) => {
        wake = resolve;
        if (!(error instanceof TokenWanted)) setTimeout(resolve, pause);
      });
    }
  })();
  return { again: () => wake() };
}

/** Reads one stream to its end. One on which nothing comes for [`FRESH`] is given up. */
async function stream(onEvent, onOpen) {
  const giveUp = new AbortController();
  let watchdog;
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => giveUp.abort(), FRESH + 2000);
  };
  heard();
  try {
    const answer = await ask("api/events", { signal: giveUp.signal });
    onOpen();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const take = events(onEvent);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      take(value);
    }
  } finally {
    clearTimeout(watchdog);
    giveUp.abort();
  }
}

/** Puts pieces of text together to events, and calls `onEvent` for each whole one. */
export function events(onEvent) {
  let rest = "";
  return (piece) => {
    rest += piece;
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop();
    if (rest.length > LONGEST_EVENT) throw new Error("an event has no end");
    for (const block of blocks) {
      let name = "message";
      const data = [];
      for (const line of block.split(/\r?\n/)) {
        const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
        if (field === "event") name = value;
        if (field === "data") data.push(value);
      }
      if (data.length > 0) onEvent(name, JSON.parse(data.join("\n")));
    }
  };
}
