// How it is now: all but the decisions.

import { badge, bar, cut, element, foreign, show, table } from "./elements.js";
import { daemonTime, since, until } from "./time.js";
import { clock, figure, kindOf, lasting, limitName, milliseconds, money, plural, spaced, spacedAtFirst } from "./words.js";

const place = (id) => document.getElementById(id);

/** Shows a status document. */
export function showStatus(status) {
  place("service").textContent = cut(`kryten-${status.service}`, 60);
  show(place("identity"), [status.version, status.hostname, status.instance_id, status.personality, status.dry_run], () => identity(status));
  show(place("figures"), [status.figures, status.link_ms, status.nats_connected, Math.floor(status.uptime_seconds / 60)], () => figures(status));
  show(place("components"), status.components, components);
  show(place("providers"), status.providers, (list) => providers(list ?? []));
  show(place("limits"), [status.limits, status.spend, status.decider], () => limits(status));
  show(place("rooms"), status.rooms, (list) => rooms(list ?? []));
  showServices(status.services ?? []);
}

function identity(status) {
  const parts = [foreign(status.personality, 60), ` · version ${cut(status.version ?? "", 40)} on `, foreign(status.hostname, 80)];
  parts.push(element("span", { class: "instance" }, ` · instance ${String(status.instance_id ?? "").slice(0, 8)}`));
  if (status.dry_run) parts.push(" ", badge("warning", "dry run: nothing is said"));
  return parts;
}

function figures({ figures: counted = {}, link_ms: link, nats_connected: connected, uptime_seconds: uptime }) {
  const one = (name, value, more, kind) =>
    element("div", { "data-kind": kind }, element("dt", {}, name), element("dd", {}, value, " ", more && element("small", {}, more)));
  const lately = counted.errors_last_hour ?? 0;
  const waiting = (counted.queued_messages ?? 0) + (counted.queued_lines ?? 0);
  return [
    one("Up for", lasting(uptime)),
    one("Messages read", figure(counted.messages_processed ?? 0)),
    one("Replies", figure(counted.responses_sent ?? 0), counted.in_flight ? `${figure(counted.in_flight)} under way` : ""),
    one("Errors this hour", figure(lately), `${figure(counted.errors ?? 0)} in all`, lately > 0 ? "warning" : undefined),
    one("Waiting", figure(waiting), waiting > 0 ? `${figure(counted.queued_lines ?? 0)} of them lines` : ""),
    connected ? one("NATS link", milliseconds(link)) : one("NATS link", "down", "", "bad"),
  ];
}

function components(list = []) {
  const ill = list.filter(({ healthy }) => !healthy);
  const well = list.filter(({ healthy }) => healthy);
  return [
    ill.length > 0 && element("ul", { class: "rows ill" }, ill.map(({ name, message, critical }) =>
      element("li", {},
        element("span", { class: "row-head" }, element("strong", {}, spaced(name)), badge(critical ? "bad" : "warning", "unhealthy")),
        message && element("span", { class: "row-note" }, foreign(message, 300))))),
    element("p", { class: "muted" }, ill.length > 0 ? `${well.length} more are healthy:` : `All ${well.length} are healthy:`),
    element("ul", { class: "names" }, well.map(({ name }) => element("li", {}, spaced(name)))),
  ];
}

function providers(list) {
  if (list.length === 0) return element("p", { class: "muted" }, "None is configured.");
  return element("ul", { class: "rows" }, list.map((provider) => element("li", {}, providerLines(provider))));
}

function providerLines(provider) {
  const { breaker = {}, latency = {}, today = {}, check = {}, rate_limit: quota, last_failure: failure } = provider;
  const facts = [];
  const fact = (name, ...value) => facts.push(element("div", {}, element("dt", {}, name), element("dd", {}, ...value)));
  const head = element("span", { class: "row-head" },
    element("span", {}, element("strong", {}, foreign(provider.name, 60)), provider.is_default && element("small", { class: "muted" }, " default")),
    provider.unusable ? badge("bad", "unusable") : badge(kindOf(provider.status), statusWord(provider.status)));
  if (provider.unusable) fact("Why unusable", foreign(provider.unusable, 300));
  fact("Model", foreign(provider.model, 80));
  if (latency.samples > 0) {
    fact("Latency", `${milliseconds(latency.ewma_ms)} on average; half within ${milliseconds(latency.p50_ms)}, 99 % within ${milliseconds(latency.p99_ms)}`);
  } else if (typeof provider.latency_ms === "number") fact("Latency", `${milliseconds(provider.latency_ms)} last time`);
  fact("Calls", provider.calls > 0 ? `${figure(provider.calls)} in all, ${provider.failed_calls > 0 ? figure(provider.failed_calls) : "none"} failed` : "none yet");
  if (breaker.state === "open") fact("Breaker", badge("bad", "open"), " tried again ", until(daemonTime() + (breaker.seconds_left ?? 0) * 1000));
  else if (breaker.state === "half-open") fact("Breaker", badge("warning", "half-open"), " the next call decides");
  if (failure) fact("Last failure", foreign(spacedAtFirst(failure.message), 300), " ", element("small", { class: "muted" }, since(failure.at)));
  if (check.state && check.state !== "off") {
    fact("Check", badge(kindOf(check.state), spaced(check.state)), check.message && [" ", foreign(spacedAtFirst(check.message), 200)], check.at && [" ", element("small", { class: "muted" }, since(check.at))]);
  }
  const left = [];
  if (typeof quota?.remaining_requests === "number") left.push(plural(quota.remaining_requests, "request"));
  if (typeof quota?.remaining_tokens === "number") left.push(plural(quota.remaining_tokens, "token"));
  if (left.length > 0) fact("Quota left", left.join(", "), quota.resets_at && ` until ${clock(quota.resets_at, { seconds: false })}`);
  const tokens = (today.tokens?.prompt ?? 0) + (today.tokens?.completion ?? 0);
  fact("Today", `${plural(today.calls ?? 0, "call")}, ${plural(tokens, "token")}${today.cost ? `, cost ${money(today.cost)}` : ""}`);
  return [head, element("dl", { class: "facts" }, facts)];
}

const statusWord = (status) => (status === "unknown" ? "not called yet" : spaced(status));

function limits({ limits: list = [], spend = [], decider }) {
  if (decider) return element("p", { class: "muted" }, "The decider does not answer, so this is not known.");
  if (list.length + spend.length === 0) return element("p", { class: "muted" }, "No limit is set.");
  const rows = [...list, ...spend].map((entry) => {
    const { name, trigger, users = 0, used = 0, max = 0, soft, frees_in_seconds: frees } = entry;
    const isFull = used >= max;
    const isRest = String(name).endsWith("_cooldown");
    // A call needs more than one of these, so that some is left does not mean that it fits in.
    const isSum = /_(tokens|cost)_/.test(name);
    const amount = name === "max_cost_per_day" ? money : figure;
    const what = isRest ? (isFull ? "resting" : "rested") : `${amount(used)} of ${amount(max)}`;
    const free = daemonTime() + frees * 1000;
    const more = soft && frees > 0 && element("small", { class: "muted under" }, until(free, "more in "));
    const next = isFull ? (frees > 0 ? until(free) : "used up") : soft ? ["only who asks", more] : isSum ? `${amount(max - used)} left` : "free";
    return [
      [limitName(cut(String(name), 60)), trigger && element("small", { class: "muted under" }, "trigger ", foreign(trigger, 60))],
      [what, bar(max > 0 ? used / max : 1, isFull ? "bad" : soft || used / max >= 0.8 ? "warning" : "plain"), users > 0 && element("small", { class: "muted" }, `${figure(users)} ${users === 1 ? "waits" : "wait"}`)],
      next,
    ];
  });
  return table("Limits in use, and when the next answer is free", ["Limit", "Used", "Next"], rows, { class: "limits" });
}

function rooms(list) {
  return element("ul", { class: "rows" }, list.map((room) =>
    element("li", {}, element("span", { class: "row-head" },
      element("span", {}, foreign(room.channel, 60), element("small", { class: "muted" }, " ", foreign(room.domain, 80))),
      room.paused ? badge("warning", room.paused_until ? `paused until ${clock(room.paused_until, { seconds: false })}` : "paused") : badge("plain", "not paused")))));
}

/** Longer reasons are folded to so many letters. */
const REASON = 100;

/** Of the services only the ages change all the time: the table round them stays, so that it can be read and walked through. */
function showServices(list) {
  show(place("services"), list.map((service) => ({ ...service, beat_age_seconds: undefined })), () => services(list));
  place("services").querySelectorAll(".beat").forEach((beat, at) => {
    const age = list[at].beat_age_seconds;
    beat.replaceChildren(typeof age === "number" ? since(new Date(daemonTime() - age * 1000).toISOString()) : "never");
  });
}

function services(list) {
  if (list.length === 0) return element("p", { class: "muted" }, "None has been heard yet.");
  const rows = list.map((service) => {
    const where = [service.version && `version ${cut(String(service.version), 30)}`, service.hostname && cut(String(service.hostname), 60)].filter(Boolean);
    const cells = [
      [foreign(service.service, 60), service.is_us && element("small", { class: "muted" }, " this one")],
      badge(kindOf(service.standing), spaced(service.standing)),
      element("span", { class: "beat" }),
    ];
    const note = [
      where.length > 0 && element("span", { class: "muted" }, foreign(where.join(", "))),
      service.reason && element("div", { class: "reason" }, folded(service.reason, `${service.service} ${service.instance_id}`)),
    ];
    return { cells, note: note.some(Boolean) && note };
  });
  return table("Services on the bus, the worst first", ["Service", "Standing", "Last beat"], rows, { class: "services" });
}

/** A text of other people's that is unfolded on wish when it is long. `name` tells it from others in its place. */
function folded(text, name) {
  const beginning = cut(String(text), REASON);
  if (beginning === String(text)) return foreign(text);
  return element("details", { class: "folded", "data-name": name },
    element("summary", {}, element("span", { class: "beginning" }, foreign(beginning, REASON + 1)), element("span", { class: "less" }, "Less")),
    foreign(text, 4096));
}
