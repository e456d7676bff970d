// The sandbox's own side: the agents' columns and faults, the devices, the requests. The events are in life.js.
import { refreshEvents } from "/console/life.js";

const behaviours = { "works": null, "answers 500": { status: 500 }, "answers 400": { status: 400 },
  "answers 429, Retry-After 30": { status: 429, retryAfter: 30 }, "answers 401": { status: 401 },
  "hangs for 60 s": { delaySeconds: 60 }, "cuts the connection": { reset: true },
  "works, then answers 500": { status: 500, afterWork: true } };
const fewDevices = 4;
export const byId = (id) => document.getElementById(id);
export const agents = new Map();
export const about = { ready: false, curl: "" };
const drawn = {};
let chosen = "";
let everyDevice = false;

// Everything that came over the wire is set as text, never as markup.
export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function short(text, longest = 22) {
  const made = element("span", "", text.length > longest ? `${text.slice(0, 8)}…${text.slice(-6)}` : text);
  made.title = text;
  return made;
}

export function button(text, onclick, className = "") {
  const made = element("button", className, text);
  made.type = "button";
  made.onclick = onclick;
  return made;
}

export const titleOf = (name) => agents.get(name)?.title ?? name;
export const clock = (moment) => new Date(moment).toLocaleTimeString([], { hour12: false });
export const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
const isWrong = (entry) => entry.violations.length > 0 && !entry.probe;
const kindOf = (entry) => isWrong(entry) ? "bad" : entry.fault ? "busy" : "good";

// A text that may scroll can be reached by keyboard.
function preformatted(label, text) {
  const made = element("pre", "", text);
  made.tabIndex = 0;
  made.setAttribute("role", "group");
  made.setAttribute("aria-label", label);
  return made;
}

function answerOf(entry) {
  const words = entry.status ?? (entry.fault?.reset ? "cut off" : entry.fault ? "no answer" : "waiting");
  const kind = kindOf(entry) === "good" && !(entry.status < 400) ? "" : kindOf(entry);
  return element("b", kind, String(words));
}

function parsed(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

export function exchange(entry) {
  const line = element("p", "", element("code", "", `${entry.method} ${entry.path}`), " → ", answerOf(entry),
    element("span", "faint", `  at ${clock(entry.receivedAt)}${entry.fault ? ", failed on purpose" : ""}`));
  const query = Object.keys(entry.query).length ? { query: entry.query } : {};
  const body = typeof entry.body === "string" ? entry.body : JSON.stringify(entry.body, null, 2);
  const more = JSON.stringify({ ...query, headers: entry.headers }, null, 2);
  const answer = entry.answer ? parsed(entry.answer) : entry.status ? "(no body)" : "(no answer)";
  return element("div", "exchange", line, preformatted("Request", `${body || "(no body)"}\n\n${more}`), preformatted("Answer", answer));
}

function described(fault) {
  const words = [];
  if (fault.afterWork) words.push("does the work");
  if (fault.delaySeconds) words.push(`waits ${fault.delaySeconds} s`);
  if (fault.status) words.push(`answers ${fault.status}`);
  if (fault.retryAfter !== undefined) words.push(`Retry-After ${fault.retryAfter}`);
  if (fault.reset) words.push("cuts the connection");
  if (fault.match) words.push(`if the request holds “${fault.match}”`);
  if (fault.left !== null) words.push(`${fault.left} more`);
  return words.join(", ");
}

async function change(method, path, body) {
  await fetch(path, { method, body: body && JSON.stringify(body) });
  refresh();
}

// A column for each agent that the sandbox plays, and for others that receipts name.
export function column(name, title = name) {
  if (agents.has(name)) return;
  const parts = { title, sum: element("span", "sum"), behaviour: element("select") };
  parts.only = button(title, () => choose(chosen === name ? "" : name));
  parts.only.title = `show the requests to ${title} alone`;
  parts.behaviour.append(...Object.keys(behaviours).map((text) => new Option(text)), new Option("", "other"));
  parts.behaviour.lastChild.hidden = true;
  parts.behaviour.setAttribute("aria-label", `How ${title} behaves`);
  parts.behaviour.onchange = ({ target: { value } }) =>
    change(behaviours[value] ? "PUT" : "DELETE", `/_faults/${name}`, behaviours[value]);
  parts.head = element("div", "agent", parts.only, parts.sum, parts.behaviour);
  parts.head.setAttribute("role", "columnheader");
  agents.set(name, parts);
  byId("columns").append(parts.head);
  document.documentElement.style.setProperty("--agents", agents.size);
}

byId("everyone").onclick = () => choose("");
byId("more").onclick = () => { everyDevice = !everyDevice; refresh(); };
byId("wrong").onchange = () => refresh();
byId("heal").onclick = () => change("DELETE", "/_faults");

async function choose(name) {
  chosen = name;
  await refresh();
  if (name) byId("h-requests").scrollIntoView({ block: "start" });
}

export function showViolations() {
  byId("wrong").checked = true;
  choose("");
  byId("h-requests").scrollIntoView({ block: "start" });
}

function showAgents(summary, faults) {
  for (const [name, { head, sum, only, behaviour }] of agents) {
    const { requests = 0, withViolations = 0 } = summary[name] ?? {};
    const several = [faults[name] ?? []].flat();
    head.className = `agent ${several.length ? "busy" : withViolations ? "bad" : ""}`;
    only.setAttribute("aria-pressed", String(chosen === name));
    sum.replaceChildren(plural(requests, "request"),
      ...(withViolations ? [", ", element("span", "bad", `${withViolations} wrong`)] : []));
    const wanted = several.length === 1 ? JSON.stringify({ ...several[0], left: undefined }) : "";
    const known = Object.keys(behaviours).find((text) => wanted === JSON.stringify(behaviours[text]));
    behaviour.lastChild.textContent = several.map(described).join("; ");
    behaviour.value = known ?? (several.length ? "other" : "works");
    behaviour.title = behaviour.selectedOptions[0].textContent;
  }
  byId("heal").hidden = !Object.keys(faults).length;
}

function deviceState(device) {
  const owners = Object.values(device.agents).map((held) => held.owners);
  // An agent that knows people by digests cannot be compared with the others.
  const people = new Set(owners.flat().filter((owner) => !/^[0-9a-f]{40,}$/.test(owner)));
  if (owners.some((some) => some.length > 1)) return ["several people", "bad"];
  const reached = owners.filter((some) => some.length).length;
  if (people.size > 1 || (reached && reached < owners.length)) return ["agents differ", "busy"];
  return reached ? ["one person", "good"] : ["nobody", ""];
}

function ownerOf({ owners, customer }) {
  if (!owners.length) {
    return element("dd", "faint", "nobody", ...(customer ? [" (", short(customer), " is logged in, without push)"] : []));
  }
  const parts = owners.flatMap((owner) => [" and ", short(owner)]).slice(1);
  return element("dd", owners.length > 1 ? "bad" : "", element("b", "", ...parts));
}

function deviceCard(device) {
  const [word, kind] = deviceState(device);
  const list = element("dl");
  for (const [name, held] of Object.entries(device.agents)) list.append(element("dt", "", titleOf(name)), ownerOf(held));
  const name = device.device || `token ${device.token}`;
  return element("article", `card ${kind === "good" ? "" : kind}`, element("div", "bar",
    element("h3", "", short(name)), element("span", `pill ${kind}`, word)), list);
}

function showDevices({ devices }) {
  const rank = (device) => ({ bad: 0, busy: 1 })[deviceState(device)[1]] ?? 2;
  const sorted = devices.sort((one, other) => rank(one) - rank(other));
  const shown = everyDevice ? sorted : sorted.slice(0, fewDevices);
  byId("more").hidden = sorted.length <= fewDevices;
  byId("more").textContent = everyDevice ? "show few" : `show all ${sorted.length}`;
  byId("devices").replaceChildren(...(shown.length ? shown.map(deviceCard)
    : [element("p", "card faint", "No agent knows a device yet.")]));
}

function requestRow(entry, open) {
  const mark = isWrong(entry) ? element("span", "pill bad", plural(entry.violations.length, "violation"))
    : entry.probe ? element("span", "pill", "probe") : entry.fault ? element("span", "pill busy", "on purpose") : "";
  const when = element("span", "faint", clock(entry.receivedAt));
  when.title = `number ${entry.number}, ${entry.receivedAt}`;
  const details = element("details", "", element("summary", "", when, element("span", "", titleOf(entry.agent)),
    element("span", "text", element("b", "", entry.subject), element("code", "", `${entry.method} ${entry.path}`)),
    element("span", "answer", mark, " ", answerOf(entry)),
    ...(isWrong(entry) ? entry.violations : []).map((text) => element("span", "wrong", text))));
  details.dataset.number = entry.number;
  details.open = open.has(String(entry.number));
  details.append(exchange(entry));
  return element("li", kindOf(entry) === "good" ? "" : kindOf(entry), details);
}

function showRequests(requests) {
  const focused = document.activeElement?.closest?.("details")?.dataset.number;
  const open = new Set([...document.querySelectorAll("details[open]")].map((one) => one.dataset.number));
  const rows = [...requests].reverse().map((entry) => requestRow(entry, open));
  byId("requests").replaceChildren(...(rows.length ? rows : [element("li", "nothing", "None.")]));
  if (focused) document.querySelector(`details[data-number="${focused}"] summary`)?.focus({ preventScroll: true });
  byId("h-requests").textContent = `Requests${chosen && ` to ${titleOf(chosen)}`}, newest first`;
  byId("everyone").hidden = !chosen;
}

// What has not changed is left alone, so that focus, selection and scrolling stay.
export function draw(part, show, ...data) {
  const now = JSON.stringify([data, chosen, everyDevice]);
  if (drawn[part] !== now) show(...data);
  drawn[part] = now;
}

export async function read(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

export async function refresh() {
  const pill = byId("connection");
  try {
    if (!about.ready) {
      const known = await read("/_console");
      known.agents.forEach(({ name, title }) => column(name, title));
      Object.assign(about, { ready: known.ready, curl: known.curl });
    }
    const filter = `${chosen && `&agent=${chosen}`}${byId("wrong").checked ? "&wrong=true" : ""}`;
    const [summary, { faults }, devices, { requests }] = await Promise.all([
      read("/_summary"), read("/_faults"), read("/_console/devices"), read(`/_requests?limit=60${filter}`)]);
    draw("agents", showAgents, summary, faults);
    draw("devices", showDevices, devices);
    draw("requests", showRequests, requests);
    refreshEvents(Object.values(summary).reduce((sum, one) => sum + one.withViolations, 0));
    pill.textContent = byId("paused").checked ? "paused" : "live";
    pill.className = `pill ${byId("paused").checked ? "busy" : "good"}`;
  } catch {
    pill.textContent = "the sandbox does not answer";
    pill.className = "pill bad";
  }
}

byId("paused").onchange = () => refresh();
setInterval(() => { if (!byId("paused").checked && !document.hidden) refresh(); }, 1000);
// The other module must be there before the first look.
setTimeout(refresh);
