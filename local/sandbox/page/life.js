// The life of events: sent from here, or by anybody else, to the local cloud's API; and what became of each at each system.
import { byId, draw, element, names, read, refresh, short } from "/console/console.js";

const ended = ["delivered", "unconfirmed", "skipped", "expired", "parked"];
const kinds = { delivered: "good", unconfirmed: "good", skipped: "", expired: "", parked: "bad", retrying: "busy", held: "busy",
  sending: "busy", queued: "" };
const phone = { id: "6b1f0a52-7a1e-4d0c-9a35-0d1f6f2b7c11", platform: "android", manufacturer: "Samsung", model: "SM-S911B",
  osVersion: "14", appId: "com.example.shop", appVersion: "4.12.0", language: "pt-BR", timezone: "America/Sao_Paulo",
  pushToken: "fcm-example-token", advertisingId: "9c9a82fb-d5de-4cd1-90c3-527441c11828", adTracking: true };
const ids = { appsflyerId: "1731923741208-4410928837465120934", gaAppInstanceId: "c2f0a6d1b94e4c7a8d3b5e6f70819a2b" };
const people = {
  ana: { name: "Ana", customerId: "ana-1", email: "ana@example.com", phone: "+5511999990000" },
  bia: { name: "Bia", customerId: "bia-2", email: "bia@example.com", phone: "+5511999991111" },
  nobody: { name: "Nobody" },
};
const senders = new Map();

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

async function send(call, body, who) {
  const answered = byId("answered");
  answered.textContent = "sending …";
  answered.className = "pill busy";
  try {
    const response = await fetch("/_console/send", { method: "POST", body: JSON.stringify({ call, body }) });
    const { status, answer, error } = await response.json();
    const taken = status >= 200 && status < 300;
    for (const one of answer?.results ?? [answer ?? {}]) if (one.eventId) senders.set(one.eventId, who);
    answered.textContent = status ? `${status} ${taken ? "accepted" : answer.detail ?? ""}` : error;
    answered.className = taken ? "pill good" : "pill bad";
  } catch {
    answered.textContent = "the sandbox does not answer";
    answered.className = "pill bad";
  }
  refresh();
}

function station(agent, receipt) {
  const waits = receipt.nextAttempt && !ended.includes(receipt.state)
    ? `, again at ${new Date(receipt.nextAttempt).toLocaleTimeString([], { hour12: false })}` : "";
  const tries = receipt.attempts > 1 ? ` after ${receipt.attempts} attempts` : "";
  const box = element("li", `station ${kinds[receipt.state] ?? ""}`, element("span", "faint", names[agent] ?? agent),
    element("b", "", `${receipt.state}${tries}`),
    element("span", "why", `${receipt.reason ?? ""}${waits}${receipt.withheld ? `, ${receipt.withheld} withheld` : ""}`));
  box.title = receipt.reason ?? "";
  return box;
}

function row(event) {
  const stations = Object.entries(event.agents);
  const done = stations.filter(([, receipt]) => ended.includes(receipt.state)).length;
  const settled = done === stations.length;
  const who = senders.get(event.eventId);
  const when = event.acceptedAt ? new Date(event.acceptedAt).toLocaleTimeString([], { hour12: false }) : "";
  const title = element("div", "bar", element("h3", "", event.type, who ? ` of ${who}` : ""),
    element("span", "faint", when), element("code", "faint", short(event.eventId)),
    element("span", `pill ${settled ? "good" : "busy"}`, settled ? "settled" : `${done} of ${stations.length} settled`));
  return element("li", "life", title, element("ul", "stations", ...stations.map(([agent, receipt]) => station(agent, receipt))));
}

function showEvents({ ready, events }) {
  byId("send").hidden = !ready;
  const rows = events.map(row);
  const none = ready ? "No event yet. Send one above, or from your own app." : "There is no local cloud beside this sandbox: make up starts one.";
  byId("events").replaceChildren(...(rows.length ? rows : [element("li", "empty", none)]));
  const newest = events[0];
  const states = newest ? Object.values(newest.agents).map((receipt) => receipt.state) : [];
  if (newest && states.every((state) => ended.includes(state))) byId("spoken").textContent = `${newest.type} is settled.`;
}

export async function refreshEvents() {
  draw("events", showEvents, await read("/_console/events"));
}

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
  send(byId("call").value, body, people[byId("who").value].name);
};
for (const button of document.querySelectorAll("[data-scene]")) {
  const [call, who] = button.dataset.scene.split(" ");
  button.onclick = () => {
    byId("call").value = call;
    byId("who").value = who;
    fill();
    send(call, example(call, who), people[who].name);
  };
}
fill();
