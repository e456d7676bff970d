// A phone that uses the real client: the upper half is what an app does, the lower half shows what becomes of it.
import { createSessionRelay } from "/phone/session-relay.js";

const people = {
  ana: { name: "Ana", customerId: "ana-1", email: "ana@example.com", phone: "+5511999990000" },
  bruno: { name: "Bruno", customerId: "bruno-2", email: "bruno@example.com", phone: "+5511999991111" },
};
const device = { id: remembered("phone.device", () => crypto.randomUUID()), platform: "android", manufacturer: "Samsung",
  model: "SM-S911B", osVersion: "14", appId: "com.example.shop", appVersion: "4.12.0", language: "pt-BR",
  timezone: "America/Sao_Paulo" };
const pushToken = remembered("phone.token", () => `fcm-${crypto.randomUUID()}`);
const { agents } = await read("/_console");
const messages = [];
let networkChanged;

const relay = createSessionRelay({
  ...(await read("/_console/phone")), // url and the public key, which an app has in its configuration
  device,
  ids: { appsflyerId: "1731923741208-4410928837465120934", gaAppInstanceId: "c2f0a6d1b94e4c7a8d3b5e6f70819a2b" },
  identityToken: async (customerId) => (await read(`/_console/token?uid=${encodeURIComponent(customerId)}`)).token,
  network: (changed) => { networkChanged = changed; },
  onError: ({ code, message, type }) => report("bad", code, type, message),
  onWarning: ({ type, pointer, detail }) => report("busy", "warning", type, `${pointer}: ${detail}`),
});

const calls = {
  async login(who) {
    const { name, ...person } = people[who];
    localStorage["phone.person"] = name;
    await relay.notifyLogin(person);
    // Push belongs to the person: after a login the app hands the token over again.
    if (localStorage["phone.push"] === "accepted") await relay.pushToken(pushToken);
  },
  async logout() {
    localStorage.removeItem("phone.person");
    await relay.notifyLogout();
  },
  open: () => relay.open(),
  track: () => relay.track("product_viewed", { sku: "SHOE-9", price: 59.9 }),
  async accept() {
    localStorage["phone.push"] = "accepted";
    await relay.pushToken(pushToken);
  },
  async decline() {
    localStorage["phone.push"] = "declined";
    await relay.pushToken(false);
  },
};

// From here on: the page.

function byId(id) {
  return document.getElementById(id);
}

// Everything that came over the wire is set as text, never as markup.
function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function clock(moment) {
  return new Date(moment).toLocaleTimeString([], { hour12: false });
}

async function read(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

function remembered(key, made) {
  localStorage[key] ??= made();
  return localStorage[key];
}

function report(kind, ...words) {
  messages.unshift(element("li", kind, element("span", "", words.filter(Boolean).join(": "))));
  byId("messages").replaceChildren(...messages.slice(0, 5));
  byId("messages").hidden = byId("h-messages").hidden = false;
}

function showPhone() {
  const person = localStorage["phone.person"];
  byId("person").textContent = person ? `${person} is logged in` : "nobody is logged in";
  byId("push").textContent = `push: ${localStorage["phone.push"] ?? "not asked"}`;
  byId("network").textContent = byId("offline").checked ? "offline" : "online";
}

function list(id, rows, none) {
  byId(id).replaceChildren(...(rows.length ? rows : [element("li", "empty", none)]));
}

async function showQueue() {
  const waiting = await relay.pending();
  byId("waiting").textContent = waiting.length ? `${waiting.length} waiting` : "empty";
  byId("waiting").className = `pill ${waiting.length ? "busy" : "good"}`;
  list("queue", waiting.slice(0, 12).map(({ type, occurredAt, eventId }) =>
    element("li", "", element("b", "", type), element("code", "faint", `…${eventId.slice(-6)}`), element("span", "faint", clock(occurredAt)))),
  "Nothing waits.");
}

const ended = ["delivered", "unconfirmed", "skipped", "expired", "parked"];
function showArrived({ events }) {
  list("arrived", events.slice(0, 8).map(({ type, agents, acceptedAt }) => {
    const states = Object.values(agents).map(({ state }) => state);
    const done = states.filter((state) => ended.includes(state)).length;
    return element("li", "", element("b", "", type), element("span", "faint", clock(acceptedAt)),
      element("span", `pill ${done === states.length ? "good" : "busy"}`, done === states.length ? "settled" : `${done} of ${states.length} settled`));
  }), "Nothing yet.");
}

// An agent that keeps devices says whose pushes this one gets; it may know the device by its push token.
function belief(known) {
  const held = known[device.id] ?? known[pushToken];
  const [who] = [held?.pushesGoTo].flat().filter(Boolean);
  if (!who) return [element("b", "", "its pushes go to nobody")];
  if (who.length <= 20) return [element("b", "", `its pushes go to ${who}`)];
  return [element("b", "", `its pushes go to ${who.slice(0, 12)}…`), element("span", "faint", "a digest of the customer's id")];
}

async function showAgents() {
  const [devices, { agents: keepers }] = await Promise.all([read("/_devices"), read("/_console/devices")]);
  const rows = await Promise.all(agents.map(async ({ name, title }) => {
    const { requests: [last] } = await read(`/_requests?limit=1&agent=${name}`);
    const heard = last ? `last: ${last.subject || last.path}, ${clock(last.receivedAt)}` : "nothing yet";
    const thinks = keepers.includes(name) ? belief(devices[name]) : [element("b", "", "counts events; keeps no device")];
    const said = element("dd", "", ...thinks, element("span", "faint", heard));
    said.dataset.agent = name;
    return [element("dt", "", title), said];
  }));
  byId("agents").replaceChildren(...rows.flat());
}

async function refresh() {
  const pill = byId("connection");
  try {
    showPhone();
    // The API may be slow, while its functions start: the agents do not wait for it.
    await Promise.all([showQueue(), showAgents(), read("/_console/events").then(showArrived)]);
    [pill.textContent, pill.className] = ["live", "pill good"];
  } catch {
    [pill.textContent, pill.className] = ["the sandbox does not answer", "pill bad"];
  }
}

for (const button of document.querySelectorAll("[data-call]")) {
  const [call, who] = button.dataset.call.split(" ");
  button.onclick = async () => {
    await calls[call](who);
    showPhone();
    showQueue();
  };
}
byId("offline").onchange = ({ target }) => {
  networkChanged(!target.checked);
  showPhone();
};
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
