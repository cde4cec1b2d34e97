// What names mean, in plain words, and how figures are written.

/** Each name of a reason, and what it means for whoever wonders why the bot was silent. */
export const REASONS = {
  listener: "Nothing that the bot listens to: a command, an empty line, or a user on the ignore list.",
  duplicate: "The same message had been read already.",
  own: "It is the bot's own line.",
  stale: "It was too old by the time it could have been answered.",
  paused: "An operator has paused the bot in this room.",
  no_trigger: "Nobody asked the bot: no mention of it, and no trigger matched.",
  loop_guard: "Too many answers in a row to one user alone: that looks like two bots talking.",
  spam: "This user sends too much and is left alone for a while.",
  global_minute: "The bot had used up its answers for this minute.",
  global_hour: "The bot had used up its answers for this hour.",
  global_cooldown: "The bot had spoken only just before and rests between answers.",
  user_hour: "This user had used up the answers for this hour.",
  user_cooldown: "This user had been answered only just before.",
  mention_cooldown: "Somebody had mentioned the bot only just before.",
  trigger_hour: "This trigger had used up its answers for this hour.",
  trigger_cooldown: "This trigger had fired only just before.",
  spend_soft: "The budget for providers is nearly used up, so only those who ask are answered.",
  spend_calls: "The calls to providers that the budget allows are used up.",
  spend_tokens: "Too few of today's tokens are left for another call.",
  spend_user: "Too few of this user's tokens for today are left for another call.",
  spend_cost: "Too little of today's money for providers is left for another call.",
  exhausted: "No provider gave an answer, in any try.",
  fallback: "No provider gave an answer; a prepared line was said instead.",
  refused: "Every provider refused to write about this.",
  internal: "A fault in the bot itself. The log has more.",
  rejected_short: "The provider's answer was too short to be said.",
  rejected_long: "The provider's answer was too long to be said.",
  rejected_repetition: "The bot had said the same shortly before.",
  rejected_inappropriate: "The provider's answer has words that must not be said.",
  rejected_relevance: "The provider's answer had too little to do with the question.",
  empty: "Nothing was left of the answer once it was made fit for chat.",
  dry_run: "The bot only rehearses: its config says that nothing is to be sent.",
  in_doubt: "It was handed over, but nothing proves that the robot said it.",
  send_failed: "The robot refused to say the line.",
  abandoned: "The daemon stopped before the answer was out.",
  overload: "Too much was going on at once.",
};

const TROUBLE = new Set(["exhausted", "fallback", "internal", "in_doubt", "send_failed", "abandoned", "overload", "stale", "empty", "refused"]);
const UNASKED = new Set(["listener", "duplicate", "own", "no_trigger"]);

/** Whether a reason means that something is wrong, that nobody had asked, or that the bot held back on purpose. */
export function kindOfReason(reason) {
  if (TROUBLE.has(reason)) return "trouble";
  return UNASKED.has(reason) ? "unasked" : "purpose";
}

/** What a reason means. */
export const meaning = (reason) => (Object.hasOwn(REASONS, reason) ? REASONS[reason] : "A reason that this page does not know:");

const LIMITS = {
  global_minute: "Answers a minute",
  global_hour: "Answers an hour",
  global_cooldown: "Rest between answers",
  user_hour: "Answers an hour, busiest user",
  user_cooldown: "Rest for one user",
  mention_cooldown: "Rest between mentions",
  trigger_hour: "Answers an hour to a trigger",
  trigger_cooldown: "Rest for a trigger",
  max_calls_per_minute: "Provider calls a minute",
  max_calls_per_day: "Provider calls a day",
  max_tokens_per_day: "Tokens a day",
  max_tokens_per_user_per_day: "Tokens a user a day",
  max_cost_per_day: "Cost a day",
};

/** What a limit is called. */
export const limitName = (name) => (Object.hasOwn(LIMITS, name) ? LIMITS[name] : String(name).replaceAll("_", " "));

const KINDS = {
  healthy: "good", ok: "good", reachable: "good", closed: "good", beating: "good", announced: "plain",
  degraded: "warning", slow: "warning", "half-open": "warning", paused: "warning", silent: "bad",
  failing: "bad", missing: "bad", failed: "bad", open: "bad", unreachable: "bad", bad_key: "bad", missing_model: "bad",
};

/** How a word is marked: good, warning, bad, or plain. */
export const kindOf = (word) => (Object.hasOwn(KINDS, word) ? KINDS[word] : "plain");

/** A name of the wire as words. */
export const spaced = (name) => String(name ?? "").replaceAll("_", " ");

/** The same for a text that may begin with one, such as what went wrong with a provider. */
export const spacedAtFirst = (text) => String(text ?? "").replace(/^[a-z]+(_[a-z]+)+/, spaced);

/** A length of time as people say it. */
export function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (!Number.isFinite(whole)) return "";
  if (whole < 60) return `${whole} s`;
  const rest = (number, unit) => (number > 0 ? ` ${number} ${unit}` : "");
  if (whole < 3600) return `${Math.floor(whole / 60)} min${rest(whole < 600 ? whole % 60 : 0, "s")}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h${rest(Math.floor((whole % 3600) / 60), "min")}`;
  return `${Math.floor(whole / 86400)} d${rest(Math.floor((whole % 86400) / 3600), "h")}`;
}

/** A figure, with the thousands apart and thin decimals. */
export function figure(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0 });
}

/** "1 call", "2 calls". */
export const plural = (number, one) => `${figure(number)} ${one}${number === 1 ? "" : "s"}`;

/** Money: two decimals, or of what is small three digits, so that little is never shown as nothing. */
export function money(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  const digits = value === 0 ? 2 : 2 - Math.floor(Math.log10(Math.abs(value)));
  return value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: Math.min(20, Math.max(2, digits)) });
}

/** A figure in the few letters that an axis has. */
export const brief = (value) => value.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });

/** Milliseconds; from a second on as seconds. Figure and unit stay in one line. */
export function milliseconds(value) {
  if (typeof value !== "number") return "–";
  return value < 1000 ? `${figure(value)}\u00a0ms` : `${figure(value / 1000)}\u00a0s`;
}

const sameDay = (one, other) => one.toDateString() === other.toDateString();

/** The time of day, with the date unless it is today. */
export function clock(at, { seconds = true } = {}) {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return "";
  const hours = time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }) });
  if (sameDay(time, new Date())) return hours;
  return `${time.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${hours}`;
}
