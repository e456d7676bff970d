// The events: sent from here, or by anything else, to the local cloud's API; one row each, one column for each agent.
import { about, agents, button, byId, clock, column, draw, element, exchange, plural, read, refresh, short, showViolations,
  titleOf } from "/console/console.js";

const ended = ["delivered", "unconfirmed", "skipped", "expired", "parked"];
const kinds = { delivered: "good", unconfirmed: "good", parked: "bad", retrying: "busy", held: "busy", sending: "busy" };
const signs = { delivered: "✓", unconfirmed: "✓", skipped: "○", expired: "○", parked: "✗", retrying: "↻", held: "‖", sending: "→",
  queued: "…" };
const step = 25;
const phone = { id: "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11", platform: "android", manufacturer: "Samsung", model: "SM-S911B",
  osVersion: "14", appId: "com.example.shop", appVersion: "4.12.0", language: "pt-BR", timezone: "America/Sao_Paulo",
  pushToken: "fcm-example-token", advertisingId: "9c9a82fb-d5de-4cd1-90c3-527441c11828", adTracking: true };
const ids = { appsflyerId: "1731923741208-4410928837465120934", gaAppInstanceId: "c2f0a6d1b94e4c7a8d3b5e6f70819a2b" };
const people = {
  ana: { name: "Ana", customerId: "ana-1", email: "ana@example.com", phone: "+5511999990000" },
  bia: { name: "Bia", customerId: "bia-2", email: "bia@example.com", phone: "+5511999991111" },
  nobody: { name: "Nobody" },
};
const opened = { event: "", agent: "", exchanges: null, foundBy: "", state: "" };
const looks = { running: false, wanted: false };
let limit = step;

function example(call, who) {
  const { name: _, ...person } = people[who];
  const event = { ...person, device: phone, ids };
  const more = { signup: { method: "email", traits: { firstName: people[who].name } },
    identify: { traits: { firstName: people[who].name }, ...(who === "nobody" && { anonymousId: "3f0c2a58-6f1b-4f0e-9a7d-51c8a2b4e901" }) },
    track: { name: "product_viewed", properties: { sku: "SHOE-9", price: 59.9 } },
    "push-token": { device: { ...phone, pushToken: "fcm-renewed-token", previousPushToken: phone.pushToken } } };
  if (call === "batch") {
    return { events: [{ type: "open", ...event }, { type: "track", ...event, ...more.track }] };
  }
  return { ...event, ...more[call] };
}

function fill() {
  byId("body").value = JSON.stringify(example(byId("call").value, byId("who").value), null, 2);
  byId("body").setCustomValidity("");
}

async function send(call, body) {
  const answered = byId("answered");
  answered.textContent = "sending …";
  answered.className = "pill busy";
  try {
    const response = await fetch("/_console/send", { method: "POST", body: JSON.stringify({ call, body }) });
    const { status, answer, error } = await response.json();
    const taken = status >= 200 && status < 300;
    answered.textContent = status ? `${status} ${taken ? "accepted" : answer.detail ?? ""}` : error;
    answered.className = taken ? "pill good" : "pill bad";
  } catch {
    answered.textContent = "the sandbox does not answer";
    answered.className = "pill bad";
  }
  refresh();
}

function whyOf({ state, reason, nextAttempt, withheld }) {
  const next = nextAttempt && !ended.includes(state) ? `again at ${clock(nextAttempt)}` : "";
  return [reason, next, withheld ? `${withheld} withheld` : ""].filter(Boolean).join(", ");
}

function station(event, agent, receipt) {
  const tries = receipt.attempts > 1 ? ` ×${receipt.attempts}` : "";
  const box = button("", () => toggle(event, agent), `station ${kinds[receipt.state] ?? ""}`);
  const sign = element("span", "", `${signs[receipt.state] ?? "·"} `);
  sign.setAttribute("aria-hidden", "true");
  box.append(element("span", "of", titleOf(agent)), element("b", "", sign, receipt.state, tries), element("span", "why", whyOf(receipt)));
  box.title = `${titleOf(agent)}: ${receipt.state}${tries}${receipt.reason ? `, ${whyOf(receipt)}` : ""}`;
  box.setAttribute("aria-label", box.title);
  box.setAttribute("aria-expanded", String(opened.event === event.eventId && opened.agent === agent));
  box.dataset.key = `${event.eventId} ${agent}`;
  return box;
}

function cell(event, agent) {
  const receipt = event.agents[agent];
  const made = element("div", receipt ? "cell" : "cell none",
    receipt ? station(event, agent, receipt) : element("span", "", element("span", "of", titleOf(agent)), "–"));
  made.setAttribute("role", "cell");
  if (!receipt) made.title = `${titleOf(agent)} does not receive ${event.type}`;
  return made;
}

const statesOf = (event) => Object.values(event.agents).map((receipt) => receipt.state);
const parkedOf = (event) => statesOf(event).filter((state) => state === "parked").length;
const waitingOf = (event) => statesOf(event).filter((state) => !ended.includes(state)).length;

function row(event) {
  const [parked, waiting] = [parkedOf(event), waitingOf(event)];
  const title = element("span", "line", element("b", "", event.type), event.customerId ? ` ${event.customerId}` : "");
  const state = parked ? element("b", "bad", `${parked} parked`) : waiting ? element("span", "busy", `${waiting} to settle`) : "";
  const what = element("div", "what", title, state,
    element("span", "line faint", event.acceptedAt ? `${clock(event.acceptedAt)} ` : "", element("code", "", short(event.eventId, 12))));
  what.setAttribute("role", "rowheader");
  const line = element("div", "row", what, ...[...agents.keys()].map((agent) => cell(event, agent)));
  line.setAttribute("role", "row");
  const made = element("div", `life ${parked ? "bad" : waiting ? "busy" : ""}`, line);
  made.setAttribute("role", "presentation");
  made.dataset.event = event.eventId;
  if (opened.event === event.eventId) made.append(detail(event));
  return made;
}

function detail(event) {
  const receipt = event.agents[opened.agent];
  const close = button("close", () => toggle(event, opened.agent));
  const title = element("h3", "", `${titleOf(opened.agent)}: ${receipt.state}`);
  const found = { id: "", person: "found by person and time", time: "found by time" }[opened.foundBy] ?? "";
  const made = element("div", "detail", element("div", "bar", title,
    element("span", "faint", [whyOf(receipt), plural(receipt.attempts ?? 0, "attempt"), found].filter(Boolean).join(" · ")), close));
  const none = opened.exchanges === null ? "reading …" : "No request was sent.";
  made.append(...(opened.exchanges?.length ? opened.exchanges.map(exchange) : [element("p", "faint", none)]));
  const cells = element("div", "", made);
  made.setAttribute("role", "cell");
  cells.setAttribute("role", "row");
  return cells;
}

async function toggle(event, agent) {
  const same = opened.event === event.eventId && opened.agent === agent;
  Object.assign(opened, { event: same ? "" : event.eventId, agent, exchanges: null, foundBy: "", state: "" });
  await refresh();
}

// The requests of the open station, read again when its receipt has changed.
async function readOpened(events) {
  const receipt = events.find((event) => event.eventId === opened.event)?.agents[opened.agent];
  const state = receipt && JSON.stringify(receipt);
  if (!receipt || state === opened.state) return;
  const query = new URLSearchParams({ event: opened.event, agent: opened.agent });
  const { requests, foundBy } = await read(`/_console/requests?${query}`);
  Object.assign(opened, { exchanges: requests, foundBy, state });
}

function showCounts(events, violations) {
  const sum = (count) => events.reduce((total, event) => total + count(event), 0);
  const [parked, waiting] = [sum(parkedOf), sum(waitingOf)];
  const counts = [];
  if (parked) counts.push(element("span", "count bad", `${parked} parked`));
  if (violations) counts.push(button(`${plural(violations, "request")} ${violations === 1 ? "breaks" : "break"} a contract`, showViolations, "count bad"));
  if (waiting) counts.push(element("span", "count busy", `${waiting} to settle`));
  if (!counts.length) counts.push(events.length ? element("span", "count good", "all settled") : element("span", "count faint", "no events"));
  byId("counts").replaceChildren(...counts);
  document.title = `${parked + violations ? `(${parked + violations}) ` : ""}session-relay console`;
}

function showEmpty({ ready }) {
  const parts = ready
    ? ["No event yet. Press a button above, or paste this into a terminal:", element("pre", "", about.curl),
      button("copy", () => navigator.clipboard.writeText(about.curl))]
    : ["There is no local cloud beside this sandbox: ", element("code", "", "make up"), " starts one."];
  byId("empty").replaceChildren(...parts);
}

function showEvents({ ready, count, events }) {
  events.flatMap((event) => Object.keys(event.agents)).forEach((name) => column(name));
  const focused = document.activeElement?.dataset?.key;
  byId("send").hidden = !ready;
  byId("events").replaceChildren(...events.map(row));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  byId("shown-events").textContent = count ? `${events.length === count ? count : `${events.length} of ${count}`}, newest first` : "";
  byId("clear").hidden = !count;
  byId("more-events").hidden = events.length >= count;
  byId("empty").hidden = events.length > 0;
  if (!events.length) showEmpty({ ready });
  const newest = events[0];
  if (newest && !waitingOf(newest)) {
    byId("spoken").textContent = `${newest.type}: ${parkedOf(newest) ? `${parkedOf(newest)} parked` : "settled"}.`;
  }
}

// The API may be slow, while its functions start: the rest of the page does not wait for it, nor does a second look begin.
export async function refreshEvents(violations) {
  looks.wanted = true;
  if (looks.running) return;
  looks.running = true;
  try {
    while (looks.wanted) {
      looks.wanted = false;
      const found = await read(`/_console/events?limit=${limit}`);
      await readOpened(found.events);
      draw("counts", showCounts, found.events, violations);
      draw("events", showEvents, found, opened, agents.size);
    }
  } catch {
    byId("shown-events").textContent = "the local cloud does not answer";
  } finally {
    looks.running = false;
  }
}

byId("clear").onclick = async () => {
  await fetch("/_console/events", { method: "DELETE" });
  Object.assign(opened, { event: "", agent: "", exchanges: null });
  limit = step;
  refresh();
};
byId("more-events").onclick = () => { limit += step; refresh(); };
byId("call").onchange = fill;
byId("who").onchange = fill;
byId("send").onsubmit = (submitted) => {
  submitted.preventDefault();
  let body;
  try {
    body = JSON.parse(byId("body").value);
  } catch (fault) {
    byId("answered").textContent = `not JSON: ${fault.message}`;
    byId("answered").className = "pill bad";
    byId("body").focus();
    return;
  }
  send(byId("call").value, body);
};
for (const button of document.querySelectorAll("[data-scene]")) {
  const [call, who] = button.dataset.scene.split(" ");
  button.onclick = () => {
    byId("call").value = call;
    byId("who").value = who;
    fill();
    send(call, example(call, who));
  };
}
fill();
