// The sandbox's own side: the systems and their faults, the devices, the requests. The life of events is in life.js.
import { refreshEvents } from "/console/life.js";

export const names = { appsflyer: "AppsFlyer", facebook: "Facebook", google: "Google Analytics", eitri_push: "Eitri Push",
  emarsys: "Emarsys", dashx: "DashX" };
const behaviours = { "works normally": null, "answers 500": { status: 500 },
  "answers 429, Retry-After 30": { status: 429, retryAfter: 30 }, "answers 401": { status: 401 },
  "hangs for 60 s": { delaySeconds: 60 }, "cuts the connection": { reset: true },
  "works, then answers 500": { status: 500, afterWork: true } };
const fewDevices = 6;
const lastFew = 20;
export const byId = (id) => document.getElementById(id);
const cards = {};
const deviceOfToken = new Map();
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

export function short(text, longest = 26) {
  const made = element("span", "", text.length > longest ? `${text.slice(0, 10)}…${text.slice(-6)}` : text);
  made.title = text;
  return made;
}

const time = (entry) => new Date(entry.receivedAt).toLocaleTimeString([], { hour12: false });
const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;
const kindOf = (entry) => entry.violations.length ? "bad" : entry.fault ? "busy" : "good";

function answerOf(entry) {
  const words = entry.status ?? (entry.fault?.reset ? "cut off" : entry.fault ? "no answer" : "waiting");
  // A refusal that is no violation, as of a message that was seen before, is neither good nor bad.
  return element("b", kindOf(entry) === "good" && !(entry.status < 400) ? "" : kindOf(entry), String(words));
}

// What a request is about, in the vendor's own word.
function subjectOf({ agent, path, body }) {
  const said = {
    appsflyer: () => body.eventName,
    facebook: () => body.data.map((event) => event.event_name).join(", "),
    google: () => body.events.map((event) => event.name).join(", "),
    eitri_push: () => body.type ?? (body.grant_type && "a token"),
    emarsys: () => decodeURIComponent(path.split("/").slice(-2).join("/")),
    dashx: () => [/{\s*(\w+)/.exec(body.query)[1], body.variables.input.event].filter(Boolean).join(": "),
  };
  try { return String(said[agent]() || "?"); } catch { return "unreadable"; }
}

function described(fault) {
  const words = [];
  if (fault.afterWork) words.push("does the work");
  if (fault.delaySeconds) words.push(`waits ${fault.delaySeconds} s`);
  if (fault.status) words.push(`answers ${fault.status}`);
  if (fault.retryAfter !== undefined) words.push(`says Retry-After ${fault.retryAfter}`);
  if (fault.reset) words.push("cuts the connection");
  const where = fault.match ? ` when the request holds “${fault.match}”` : "";
  const long = fault.left === null ? "until told otherwise" : fault.left === 1 ? "once more" : `${fault.left} more times`;
  return `${words.join(", ")}${where}, ${long}`;
}

async function tell(method, path, body) {
  await fetch(path, { method, body: body && JSON.stringify(body) });
  refresh();
}

for (const [name, title] of Object.entries(names)) {
  const parts = { pill: element("span", "pill"), strip: element("div", "strip"), last: element("ul", "last"),
    only: element("button"), behaviour: element("select") };
  parts.behaviour.append(...Object.keys(behaviours).map((text) => new Option(text)), new Option("fails as told", "told"));
  parts.behaviour.lastChild.hidden = true;
  parts.behaviour.setAttribute("aria-label", `How ${title} behaves`);
  parts.behaviour.title = `how ${title} behaves: let it fail here`;
  parts.behaviour.onchange = ({ target: { value } }) =>
    tell(behaviours[value] ? "PUT" : "DELETE", `/_faults/${name}`, behaviours[value]);
  parts.strip.setAttribute("aria-hidden", "true");
  parts.only.type = "button";
  parts.only.title = `show the requests to ${title} alone`;
  parts.only.onclick = () => choose(chosen === name ? "" : name);
  parts.card = element("article", "card", element("div", "bar", element("h3", "", title), parts.pill), parts.strip,
    parts.last, element("div", "bar", parts.only, parts.behaviour));
  cards[name] = parts;
  byId("agents").append(parts.card);
}
byId("everyone").onclick = () => choose("");
byId("more").onclick = () => { everyDevice = !everyDevice; refresh(); };
byId("wrong").onchange = () => refresh();
byId("show-wrong").onclick = () => { byId("wrong").checked = true; choose(""); };

async function choose(name) {
  chosen = name;
  await refresh();
  byId("h-requests").scrollIntoView({ block: "start" });
}

function showAgent(name, { requests = 0, withViolations = 0 }, latest, fault) {
  const { card, pill, strip, last, only, behaviour } = cards[name];
  const [word, kind] = fault ? ["fails on purpose", "busy"]
    : withViolations ? [`${withViolations} wrong`, "bad"]
    : requests ? ["all right", "good"] : ["quiet", ""];
  pill.textContent = word;
  pill.className = `pill ${kind}`;
  card.className = `card ${kind === "good" ? "" : kind}`;
  strip.replaceChildren(...Array.from({ length: lastFew }, (_, at) => {
    const entry = latest[at - lastFew + latest.length];
    return element("i", entry && kindOf(entry));
  }));
  const lines = latest.slice(-3).reverse().map((entry) => element("li", "", element("span", "faint", time(entry)),
    element("span", "", subjectOf(entry)), answerOf(entry)));
  last.replaceChildren(...(lines.length ? lines : [element("li", "faint", "has not been sent anything")]));
  only.replaceChildren(plural(requests, "request"));
  if (fault && withViolations) only.append(", ", element("b", "bad", `${withViolations} wrong`));
  only.setAttribute("aria-pressed", String(chosen === name));
  const asked = fault && JSON.stringify({ ...fault, left: undefined });
  behaviour.value = Object.keys(behaviours).find((text) => asked === JSON.stringify(behaviours[text]))
    ?? (fault ? "told" : "works normally");
}

function showFaults(faults) {
  const several = Object.entries(faults).flatMap(([name, some]) => [some].flat().map((fault) => [name, fault]));
  const rows = several.map(([name, fault]) => {
    const clear = element("button", "", "let it work");
    clear.type = "button";
    clear.setAttribute("aria-label", `Let ${names[name]} work`);
    clear.onclick = () => tell("DELETE", `/_faults/${name}`);
    return element("div", "banner", element("span", "", element("b", "", names[name]),
      ` fails on purpose: ${described(fault)}.`), clear);
  });
  byId("faults").replaceChildren(...rows);
}

function showVerdict(summary) {
  const all = Object.values(summary);
  const total = all.reduce((sum, one) => sum + one.requests, 0);
  const wrong = all.reduce((sum, one) => sum + one.withViolations, 0);
  const [text, kind] = !total ? ["No requests yet.", "quiet"]
    : wrong ? [`${wrong} of ${plural(total, "request")} ${wrong === 1 ? "breaks" : "break"} a vendor's contract.`, "bad"]
    : [`${plural(total, "request")}, all as the vendors' contracts want them.`, "good"];
  byId("verdict-text").textContent = text;
  byId("show-wrong").hidden = !wrong;
  byId("verdict").className = `banner ${kind}`;
  document.title = `${wrong ? `(${wrong}) ` : ""}session-relay console`;
}

// DashX knows push tokens only: a token's device is the one that Eitri Push or Emarsys last saw it on.
function byDevice(state) {
  const devices = new Map();
  for (const name of ["eitri_push", "emarsys", "dashx"]) {
    for (const [id, held] of Object.entries(state[name] ?? {})) {
      if (name !== "dashx" && held.pushToken) deviceOfToken.set(held.pushToken, id);
      const key = name === "dashx" ? deviceOfToken.get(id) ?? `token ${id}` : id;
      if (!devices.has(key)) devices.set(key, { id: key, token: "", known: {} });
      const device = devices.get(key);
      device.known[name] = held;
      device.token ||= name === "dashx" ? id : held.pushToken ?? "";
    }
  }
  return [...devices.values()].reverse();
}

function deviceState({ known }) {
  const owners = Object.values(known).map((held) => [held.pushesGoTo].flat().filter(Boolean));
  if (owners.some((one) => one.length > 1)) return ["several people", "bad"];
  const reached = owners.filter((one) => one.length).length;
  if (reached && reached < owners.length) return ["systems differ", "busy"];
  return reached ? ["one person", "good"] : ["nobody", ""];
}

function ownerOf(held) {
  const owners = [held.pushesGoTo].flat().filter(Boolean);
  if (owners.length) {
    const parts = owners.flatMap((owner) => [" and ", short(owner)]).slice(1);
    return element("dd", owners.length > 1 ? "bad" : "", element("b", "", ...parts));
  }
  return element("dd", "faint", "nobody",
    ...(held.customer ? [" (", short(held.customer), " is logged in, without push)"] : []));
}

function deviceCard(device) {
  const [word, kind] = deviceState(device);
  const list = element("dl");
  for (const [name, held] of Object.entries(device.known)) list.append(element("dt", "", names[name]), ownerOf(held));
  const token = device.id !== `token ${device.token}` && device.token
    ? element("p", "faint", "push token ", element("code", "", short(device.token))) : "";
  return element("article", `card ${kind === "good" ? "" : kind}`, element("div", "bar",
    element("h3", "", short(device.id)), element("span", `pill ${kind}`, word)), list, token);
}

function showDevices(state) {
  const rank = (device) => ({ bad: 0, busy: 1 })[deviceState(device)[1]] ?? 2;
  const devices = byDevice(state).sort((one, other) => rank(one) - rank(other));
  const shown = everyDevice ? devices : devices.slice(0, fewDevices);
  byId("more").hidden = devices.length <= fewDevices;
  byId("more").textContent = everyDevice ? "show few" : `show all ${devices.length}`;
  byId("devices").replaceChildren(...(shown.length ? shown.map(deviceCard)
    : [element("p", "card faint", "No device is known yet: a login or an open with a device makes it known.")]));
}

function requestRow(entry, open) {
  const tail = entry.violations.length ? element("span", "pill bad", plural(entry.violations.length, "violation"))
    : entry.fault ? element("span", "pill busy", "on purpose") : "";
  const when = element("span", "faint", time(entry));
  when.title = entry.receivedAt;
  const details = element("details", "", element("summary", "", element("span", "faint", String(entry.number)), when,
    element("span", "", names[entry.agent]),
    element("span", "what", element("b", "", subjectOf(entry)), " ",
      element("code", "", `${entry.method} ${entry.path}`)), element("span", "answer", tail, " ", answerOf(entry)),
    ...entry.violations.map((text) => element("span", "wrong", element("span", "", text)))));
  details.dataset.number = entry.number;
  details.open = open.has(String(entry.number));
  details.append(element("pre", "", JSON.stringify({ query: entry.query, headers: entry.headers, body: entry.body,
    fault: entry.fault ?? undefined }, null, 2)));
  return element("li", kindOf(entry) === "good" ? "" : kindOf(entry), details);
}

function showRequests(requests) {
  const focused = document.activeElement?.closest?.("details")?.dataset.number;
  const open = new Set([...document.querySelectorAll("details[open]")].map((one) => one.dataset.number));
  const rows = [...requests].reverse().map((entry) => requestRow(entry, open));
  byId("requests").replaceChildren(...(rows.length ? rows : [element("li", "empty", "None.")]));
  if (focused) document.querySelector(`details[data-number="${focused}"] summary`)?.focus({ preventScroll: true });
  byId("h-requests").textContent = `Requests${chosen && ` to ${names[chosen]}`}, newest first`;
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
    const filter = `${chosen && `&agent=${chosen}`}${byId("wrong").checked ? "&wrong=true" : ""}`;
    const [summary, { faults }, state, { requests }, ...latest] = await Promise.all([
      read("/_summary"), read("/_faults"), read("/_devices"), read(`/_requests?limit=100${filter}`),
      ...Object.keys(names).map((name) => read(`/_requests?limit=${lastFew}&agent=${name}`)),
    ]);
    draw("verdict", showVerdict, summary);
    draw("faults", showFaults, faults);
    Object.keys(names).forEach((name, at) =>
      draw(name, showAgent, name, summary[name] ?? {}, latest[at].requests, [faults[name]].flat()[0]));
    draw("devices", showDevices, state);
    draw("requests", showRequests, requests);
    await refreshEvents();
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
