/**
 * session-relay's client: stores what happens in an app and sends it to the relay, in order, until it has arrived.
 *
 * One module without dependencies, in ES2018, for browsers, workers, React Native and Node.
 */

const NAME = "session-relay";
const MAX_EVENTS = 1000;
const MAX_STORED = 512 * 1024;
const MAX_BATCH = 100;
/** Bytes of one request: browsers let a closed page send 64 KiB. */
const MAX_BODY = 60000;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** No device has sent an event before this client was written: an older clock is wrong. */
const WRITTEN = Date.UTC(2026, 0);
const NOBODY = /^\s*(null|undefined|none|nil|nan|unknown)?\s*$/i;
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const page = typeof document === "object" ? document : null;
const isWeb = Boolean(page) || typeof WorkerGlobalScope === "function";
const listen = (target, name, listener) => target && target.addEventListener && target.addEventListener(name, listener);
const parse = (text) => {
  try {
    return JSON.parse(text);
  } catch (_) {
    return null;
  }
};

/** A UUIDv7 (RFC 9562): 48 bits of time, then chance. */
function uuid(time) {
  const bytes = new Uint8Array(16);
  if (typeof crypto === "object" && crypto.getRandomValues) crypto.getRandomValues(bytes);
  else bytes.forEach((_, at) => { bytes[at] = Math.random() * 256; });
  for (let at = 5, left = Math.max(0, time); at >= 0; at--, left = Math.floor(left / 256)) bytes[at] = left;
  bytes[6] = 0x70 | (bytes[6] & 15);
  bytes[8] = 0x80 | (bytes[8] & 63);
  const hex = Array.from(bytes, (byte) => (256 + byte).toString(16).slice(1)).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** What an identity token (JWT) says; Hermes has no atob. */
function claims(token) {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const letter of String(token).split(".")[1] || "") {
    held = (held << 6) | BASE64.indexOf(letter);
    bits += 6;
    if (bits > 7) {
      bits -= 8;
      text += "%" + (256 + ((held >> bits) & 255)).toString(16).slice(1);
    }
  }
  try {
    return JSON.parse(decodeURIComponent(text)) || {};
  } catch (_) {
    return {};
  }
}

/** What the browser says of itself and of this page, and the ids that Google's and Meta's scripts have set. */
function webFacts() {
  if (!isWeb) return {};
  const cookie = (pattern) => (pattern.exec((page && page.cookie) || "") || [])[1];
  return {
    device: {
      platform: "web",
      language: (/^[a-z]{2,3}([-_][a-z0-9]{2,8}){0,3}/i.exec(navigator.language) || [])[0],
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    },
    ids: {
      gaClientId: cookie(/(?:^|; )_ga=GA\d\.\d\.([\d.]+)/),
      fbp: cookie(/(?:^|; )_fbp=([^;]+)/),
      fbc: cookie(/(?:^|; )_fbc=([^;]+)/),
    },
    context: page ? { url: location.href.split("#")[0].slice(0, 4096) } : {},
  };
}

/** The browser's storage, a cell a key, so that two tabs never overwrite each other's events; null where refused. */
function tabStorage(makeRoom, report) {
  const prefix = NAME + ".";
  const refused = {};
  let area;
  try {
    area = localStorage;
    area.setItem(prefix, "");
    area.removeItem(prefix);
  } catch (fault) {
    if (!area || !area.length) return null;
  }
  return {
    read: (key) => (key in refused ? refused[key] : area.getItem(prefix + key)),
    write(key, text) {
      delete refused[key];
      do {
        try {
          return area.setItem(prefix + key, text);
        } catch (_) {
          // Full: tracks make room; what does not fit even so lives as long as the page.
        }
      } while (makeRoom());
      // What stood there before must not come back: it may name a person who has left.
      area.removeItem(prefix + key);
      refused[key] = text;
      report();
    },
    erase(key) {
      delete refused[key];
      area.removeItem(prefix + key);
    },
    keys: () => Object.keys(area).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
      .concat(Object.keys(refused)),
    saved: () => Promise.resolve(),
  };
}

/** A storage that is handed in, or none: all cells in one document, which is written as a whole. */
function documentStorage(storage, makeRoom, report) {
  let cells = {};
  let person;
  let next = null;
  let last = Promise.resolve();
  async function save() {
    next = null;
    if (!storage) return;
    do {
      try {
        const now = cells.w;
        await storage.setItem(NAME, JSON.stringify(cells));
        person = now;
        return;
      } catch (_) {
        // As above: tracks make room.
      }
    } while (makeRoom());
    report();
    // The person whom the stored document names has left.
    if (person !== cells.w && storage.removeItem) await Promise.resolve(storage.removeItem(NAME)).catch(() => {});
  }
  const change = (key, text) => {
    cells[key] = text;
    if (text === undefined) delete cells[key];
    next = next || (last = last.then(save, save));
  };
  return {
    read: (key) => (key in cells ? cells[key] : null),
    write: change,
    erase: (key) => change(key),
    keys: () => Object.keys(cells),
    saved: () => next || last,
    ready: Promise.resolve().then(() => storage && storage.getItem(NAME)).then((text) => {
      cells = parse(text) || {};
      person = cells.w;
    }, report),
  };
}

/** Which events go first where there is no room: tracks, then profiles; never what protects the person. */
function rank({ type, device }) {
  if (protects({ type, device })) return 9;
  return ["track", "identify", "open"].indexOf(type) + 1 || 8;
}

/** A logout and a declined push end someone's pushes, so they are never dropped. */
function protects({ type, device }) {
  return type === "logout" || (type === "push_token" && Boolean(device) && device.pushToken === false);
}

/** Seconds or a date, as RFC 9110 has it: milliseconds from now, a day at most. */
function retryAfter(text) {
  const wait = /^\d+$/.test(text) ? text * SECOND : Date.parse(text) - Date.now();
  return Math.min(Math.max(wait || 0, 0), 24 * 60 * MINUTE);
}

/**
 * Makes the client of one app. See session-relay.d.ts for the options and what each method promises.
 */
export function createSessionRelay(options = {}) {
  const { url, key, identityToken, storage, network } = options;
  const base = String(url).replace(/\/+$/, "");
  const isUsable = Boolean(url) && typeof key === "string" && !/^sk_/.test(key);

  const report = (listener, value) => {
    try {
      if (listener) listener(value);
    } catch (_) {
      // The app's listener is the app's own affair.
    }
  };
  const fail = (code, message, event, more) =>
    report(options.onError, { code, message, ...(event && { type: event.type, eventId: event.eventId }), ...more });
  function mistake(message, event, more) {
    const isDevelopment = (typeof __DEV__ !== "undefined" && __DEV__)
      || (page && /^(localhost|127\.0\.0\.1)$/.test(location.hostname));
    if (isDevelopment || !options.onError) console.error(`${NAME}: ${message}`);
    fail("invalid", message, event, more);
  }

  // --- what is stored: w who, d device id, c consent, s sequence and clock, t tokens, r until when to wait, e… events

  let isToldOfStorage = false;
  const refused = () => {
    if (!isToldOfStorage) fail("storage", "Storage refuses; what it does not take lives as long as this page.");
    isToldOfStorage = true;
  };
  const tabs = !storage && tabStorage(makeRoom, refused);
  const store = tabs || documentStorage(storage, makeRoom, refused);
  if (isWeb && !storage && !tabs) refused();
  const get = (cell) => parse(store.read(cell)) || {};
  const set = (cell, value) => store.write(cell, JSON.stringify(value));
  const keys = () => store.keys().filter((cell) => cell[0] === "e").sort();
  /** The queue, oldest first: each entry has its cell, its event, and whether its clock was never checked. */
  const queue = () => keys().map((cell) => ({ cell, ...get(cell) })).filter(({ event }) => event);
  const put = ({ cell, event, isRaw }) => set(cell, { event, isRaw });
  let room = { events: 0, size: 0 };

  function makeRoom() {
    const first = queue().find(({ event }) => event.type === "track");
    if (first) drop(first, "full", "Storage is full; the oldest tracks make room.");
    return Boolean(first);
  }

  /** Drops what there is no room for. All is measured only when what was added since may not fit: other tabs add too. */
  function keepBounds(added) {
    room.events -= 1;
    room.size -= added;
    if (room.events >= 0 && room.size >= 0) return;
    const cells = keys();
    room = { events: MAX_EVENTS - cells.length, size: cells.reduce((left, cell) => left - store.read(cell).length, MAX_STORED) };
    if (room.events >= 0 && room.size >= 0) return;
    const candidates = queue().map((entry) => ({ entry, at: rank(entry.event) })).filter(({ at }) => at < 9);
    candidates.sort((one, other) => one.at - other.at || (one.entry.cell < other.entry.cell ? -1 : 1));
    for (const { entry } of candidates) {
      if (room.events >= 0 && room.size >= 0) return;
      room.events += 1;
      room.size += store.read(entry.cell).length;
      drop(entry, "full", "The queue is full.");
    }
  }

  function drop({ cell, event }, code, message, more) {
    store.erase(cell);
    fail(code, message, event, more);
  }

  // --- who is here, and what is captured of a call

  function who() {
    const known = get("w");
    if (known.left) moveLogout(known);
    if (!known.visitor) set("w", (known.visitor = uuid(now()), known));
    return known;
  }

  /** A logout is stored in the same write that forgets its person; here it takes its place in the queue. */
  function moveLogout(known) {
    put(known.left);
    delete known.left;
    set("w", known);
  }

  const now = () => Date.now() + (get("s").offset || 0);

  /** What is true at the moment of a call, as text: what the app changes afterwards is not what happened. */
  function capture(input) {
    const facts = webFacts();
    const own = (name) => ({ ...facts[name], ...(typeof options[name] === "function" ? options[name]() : options[name]) });
    return {
      at: Date.now(),
      facts: JSON.stringify({ device: { ...own("device"), pushToken: undefined }, ids: own("ids"), context: facts.context }),
      input: JSON.stringify({ ...input, identityToken: undefined }),
    };
  }

  function make(type, { at, facts, input }, { device, ...more } = {}) {
    const clock = get("s");
    const time = at + (clock.offset || 0);
    clock.last = Math.max((clock.last || 0) + 1, time);
    set("s", clock);
    const { visitor, uid, push } = who();
    const known = parse(facts);
    const given = parse(input) || {};
    const event = {
      consent: parse(store.read("c")) || undefined, ...given, customerId: uid, ...more, type,
      anonymousId: visitor, eventId: uuid(time), occurredAt: new Date(time).toISOString(), sequence: clock.last,
      device: { id: installation(), ...known.device, ...given.device, pushToken: push, ...device },
      ids: { ...known.ids, ...given.ids },
      context: { ...known.context, ...given.context },
    };
    const { analytics, advertising } = event.consent || {};
    if (analytics === false) delete event.ids.gaClientId;
    if (advertising === false) event.ids.fbp = event.ids.fbc = undefined;
    return { cell: `e${String(clock.last).padStart(16, "0")}${event.eventId}`, event, isRaw: clock.offset === undefined };
  }

  /** The id of this installation, where the app hands over none: what the order of events is kept by. */
  function installation() {
    const known = get("d");
    if (!known.id) set("d", (known.id = uuid(now()), known));
    return known.id;
  }

  function add(type, moment, more) {
    const entry = make(type, moment, more);
    put(entry);
    keepBounds((store.read(entry.cell) || "").length);
  }

  /** The logout of the person who is here, and in the same write a new visitor, of whom nothing is known. */
  function leave({ at, facts }) {
    const left = make("logout", { at, facts });
    set("w", { visitor: uuid(now()), left });
    who();
    keepBounds(JSON.stringify(left).length);
  }

  function arrive(uid, token, moment) {
    if (who().uid && who().uid !== uid) leave(moment);
    set("w", { ...who(), uid });
    if (token) keepToken(uid, token);
    else if (get("t")[uid] === null) setToken(uid);
  }

  // --- identity tokens: by customer; "" where it has ended or was refused, null where the app has none

  const isEnded = (token) => token === "" || (token && claims(token).exp * SECOND <= now());
  const setToken = (uid, token) => set("t", { ...get("t"), [uid]: token });

  function keepToken(uid, token) {
    if (claims(token).uid !== uid) return mistake("The identity token is not one of this customer's.");
    setToken(uid, token);
    until = 0;
    plan();
    return true;
  }

  /** Asks the app for a token; false if its events must wait. */
  async function refresh(uid) {
    let token;
    try {
      token = identityToken && await Promise.race([identityToken(uid), new Promise((_, late) => after(30 * SECOND, late))]);
    } catch (_) {
      return wait();
    }
    if (token && !isEnded(token) && keepToken(uid, token)) return true;
    if (get("t")[uid] === undefined) {
      setToken(uid, null);
      return true;
    }
    return pause("identity", "A new identity token is needed: setIdentity(uid, token), or the option identityToken.");
  }

  /** Deletes tokens that have ended, and those of people of whom nothing is left. */
  function tidy(entries) {
    const tokens = get("t");
    const needed = new Set(entries.map(({ event }) => event.customerId).concat(who().uid));
    const kept = {};
    for (const uid of Object.keys(tokens)) if (needed.has(uid)) kept[uid] = isEnded(tokens[uid]) ? "" : tokens[uid];
    if (JSON.stringify(kept) !== JSON.stringify(tokens)) set("t", kept);
  }

  /** Wakes up before the next token ends: to ask for another, or to delete it. */
  function plan() {
    clearTimeout(planned);
    const tokens = get("t");
    const { uid } = who();
    const left = (of) => claims(tokens[of]).exp * SECOND - now();
    const mine = (of) => of === uid && identityToken;
    const waits = Object.keys(tokens).filter((of) => tokens[of] && left(of) > 0)
      .map((of) => (mine(of) ? Math.max(left(of) - MINUTE, left(of) / 2) : left(of)));
    if (!waits.length) return;
    planned = after(Math.min(Math.max(SECOND, ...waits.sort((a, b) => a - b).slice(0, 1)), 2 ** 31 - 1), async () => {
      if (mine(uid) && left(uid) < 2 * MINUTE) await refresh(uid);
      tidy(queue());
      plan();
    });
  }

  // --- sending: one tab at a time, the head of the queue first

  let sending = null;
  let isAgain = false;
  let isInFlight = false;
  let isOnline = true;
  let fails = 0;
  let unreached = 0;
  let refusals = 0;
  let until = 0;
  let limit = MAX_BATCH;
  let paused = "";
  let timer;
  let planned;

  function after(delay, work) {
    const started = setTimeout(work, delay);
    if (started.unref) started.unref();
    return started;
  }

  const isReady = () => isUsable && isOnline && !(isWeb && navigator.onLine === false);

  /** Milliseconds until the next attempt; a wait that is longer than there are was set by another clock. */
  function waiting() {
    const left = (at, longest) => (at - Date.now() > longest ? 0 : at - Date.now());
    return Math.max(left(until, 10 * MINUTE), left(get("r").at || 0, 24 * 60 * MINUTE));
  }

  /** No answer to build on: again later, by chance somewhat later than others. */
  function wait(retry) {
    until = Date.now() + Math.min(5 * MINUTE, SECOND * 2 ** fails) * (1 + Math.random()) / 2;
    fails += 1;
    if (retry) set("r", { at: Date.now() + retry });
    return false;
  }

  /** Something must be repaired first: everything is kept, and tried again every few minutes. */
  function pause(code, message, more) {
    if (paused !== code) fail(code, message, null, more);
    paused = code;
    until = Date.now() + Math.min(10 * MINUTE, MINUTE * 2 ** fails) * (1 + Math.random()) / 2;
    fails += 1;
    return false;
  }

  function send() {
    isAgain = Boolean(sending);
    sending = sending || (tabs && navigator.locks ? navigator.locks.request(NAME, work) : work())
      .catch((fault) => fail("internal", String(fault && fault.message))).then(() => {
        sending = null;
        return isAgain ? send() : undefined;
      });
    return sending;
  }

  async function work() {
    for (;;) {
      if (!isReady()) return;
      const left = waiting();
      clearTimeout(timer);
      if (left > 0) {
        timer = after(left, send);
        return;
      }
      const entries = queue();
      tidy(entries);
      if (!entries.length) return;
      const { batch, ask } = take(entries);
      if (ask) await refresh(ask);
      else if (batch.length) await settle(batch, await post(batch));
    }
  }

  /** The head of the queue, as much as one request may carry; or whose token must be asked for before. */
  function take(entries) {
    const tokens = get("t");
    const { uid } = who();
    const batch = [];
    let size = 20;
    for (const entry of entries) {
      const { event } = entry;
      const token = tokens[event.customerId];
      const isMissing = isEnded(token) || (token === undefined && identityToken);
      if (event.customerId && isMissing && event.customerId === uid) return batch.length ? { batch } : { ask: uid };
      if (event.customerId && isEnded(token)) {
        // Its person has left, and nobody can speak for them any more.
        if (event.type !== "logout") {
          drop(entry, "identity", "The identity token ended before this event was sent, and its person has left.");
          continue;
        }
        event.customerId = undefined;
        put(entry);
      }
      entry.text = wire(entry, event.customerId && token);
      size += entry.text.replace(/[^\0-\x7f]/g, "___").length + 1;
      if (batch.length && (batch.length >= limit || size > MAX_BODY)) break;
      batch.push(entry);
    }
    return { batch };
  }

  /** An event as it is sent; of a clock that cannot be right, the server's own time is better. */
  function wire({ event, isRaw }, token) {
    const isAbsurd = isRaw && Date.parse(event.occurredAt) < WRITTEN;
    return JSON.stringify({ ...event, ...(isAbsurd && { occurredAt: undefined, sequence: undefined }), identityToken: token || undefined });
  }

  async function post(batch) {
    const clock = get("s");
    clock.sent = Math.max(clock.sent || 0, ...batch.map(({ event, isRaw }) => (isRaw && event.sequence < WRITTEN ? 9e15 : event.sequence)));
    set("s", clock);
    const aborter = typeof AbortController === "function" ? new AbortController() : null;
    const deadline = after(30 * SECOND, () => aborter && aborter.abort());
    const began = Date.now();
    const body = `{"events":[${batch.map(({ text }) => text).join(",")}]}`;
    isInFlight = true;
    try {
      const response = await fetch(`${base}/batch`, {
        method: "POST",
        headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
        body,
        keepalive: body.length < MAX_BODY,
        credentials: "omit",
        // Personal data goes to the address that the app has named, and to no other.
        redirect: "error",
        signal: aborter ? aborter.signal : undefined,
      });
      const document = parse(await response.text());
      return { status: response.status, document, retry: retryAfter(response.headers.get("retry-after")),
        date: document && Date.parse(response.headers.get("date")), began };
    } catch (_) {
      return { status: 0 };
    } finally {
      clearTimeout(deadline);
      isInFlight = false;
    }
  }

  async function settle(batch, { status, document, retry, date, began }) {
    const isOurs = Boolean(document) && typeof document === "object";
    const results = isOurs && (document.results || (status === 202 && batch.length === 1 && document.eventId && [{ ...document, status }]));
    if ((status === 207 || status === 202) && Array.isArray(results) && results.length === batch.length) {
      fails = 0;
      paused = "";
      limit = Math.min(MAX_BATCH, limit * 2);
      if (batch.map((entry, at) => one(entry, results[at] || {})).some((isLeft) => isLeft)) wait(retry);
    } else if (status === 400 || status === 409 || status === 413 || status === 422) {
      if (batch.length > 1) limit = Math.floor(batch.length / 2);
      else if (!isOurs || one(batch[0], { ...document, status })) wait(retry);
    } else if (status === 408 || status === 429 || status >= 500 || status < 400) {
      unreached = status ? 0 : unreached + 1;
      if (unreached < 3 || !(await isForbiddenPage())) wait(retry);
      else pause("cors", "The relay is there, and does not let this page call it: see AllowedOrigins.");
    } else {
      if (retry) set("r", { at: Date.now() + retry });
      pause("refused", `The relay answers ${status}: look at key and url.`, { status });
    }
    if (isOurs && date) learn(date, began);
  }

  /** What became of one event; true if it must be sent again. */
  function one(entry, result) {
    const { cell, event } = entry;
    const { status, detail, errors } = result;
    if (status === 202) {
      store.erase(cell);
      refusals = 0;
      for (const warning of result.warnings || []) report(options.onWarning, { type: event.type, eventId: event.eventId, ...warning });
      return false;
    }
    if ((status === 401 || status === 403) && event.customerId) {
      const isMine = event.customerId === who().uid;
      setToken(event.customerId, "");
      if (isMine) refusals += 1;
      return isMine && refusals > 1;
    }
    if (status === 409 && protects(event)) {
      fail("conflict", "Another event has this eventId; it is sent under a new one.", event);
      event.eventId = uuid(now());
      put(entry);
      return true;
    }
    if (!(status >= 400 && status < 500) || status === 408 || status === 425 || status === 429) return true;
    store.erase(cell);
    if (status === 400) mistake(detail || "The relay refuses the event.", event, { status, errors });
    else fail(status === 409 ? "conflict" : "rejected", detail, event, { status, errors });
    return false;
  }

  /** Whether the relay answers, but not this page: to a page that looks like no network. */
  const isForbiddenPage = () =>
    page && /^https?:/.test(base) && !`${base}/`.startsWith(`${location.origin}/`)
      ? fetch(`${base}/health`, { mode: "no-cors", credentials: "omit" }).then(() => true, () => false)
      : false;

  /** Learns how wrong the device's clock is; what was captured before that is known is corrected, once. */
  function learn(date, began) {
    const took = Date.now() - began;
    const clock = get("s");
    const tolerance = 3 * SECOND + took;
    const wrong = Math.round(date + SECOND / 2 - began - took / 2);
    const offset = Math.abs(wrong) < tolerance ? 0 : wrong;
    if (took < 0 || took > MINUTE || Math.abs(offset - clock.offset) < tolerance) return;
    if (clock.offset === undefined) {
      // The relay takes no sequence beyond its own time, so what it has had is not newer than that.
      clock.last = Math.min(clock.sent || 0, date + SECOND);
      for (const entry of queue()) {
        const { event } = entry;
        event.sequence = clock.last = Math.max(clock.last + 1, event.sequence + offset);
        event.occurredAt = new Date(Date.parse(event.occurredAt) + offset).toISOString();
        put({ ...entry, isRaw: undefined, text: undefined });
      }
    }
    clock.offset = offset;
    set("s", clock);
  }

  /** A page that closes sends what it can; what another tab is sending as well, the relay takes once. */
  function close() {
    if (isInFlight || !isReady() || waiting() > 0) return;
    const { batch } = take(queue());
    if (batch && batch.length) post(batch);
  }

  // --- what an app calls

  /** Runs a call at once, or once storage has been read; resolves once what it did is stored. */
  function call(input, work_) {
    let done;
    try {
      const moment = capture(input);
      done = tabs ? Promise.resolve(work_(moment)) : store.ready.then(() => work_(moment));
    } catch (fault) {
      done = Promise.reject(fault);
    }
    return done.then(store.saved).then(() => {
      send();
    }, (fault) => mistake(String(fault && fault.message)));
  }

  const isId = (id) => typeof id === "string" && !NOBODY.test(id) && id.length <= 128;
  async function refuse(message) {
    mistake(message);
  }

  function enter(type, input) {
    const { customerId, identityToken: token } = input || {};
    if (!isId(customerId)) return refuse(`${type} needs a customerId of 1 to 128 characters.`);
    return call(input, (moment) => {
      arrive(customerId, token, moment);
      add(type, moment);
    });
  }

  function setConsent(consent) {
    if (!consent || typeof consent !== "object") return refuse("setConsent needs an object, as in {analytics: false}.");
    return call({ consent }, ({ input }) => set("c", parse(input).consent));
  }

  async function wake() {
    until = 0;
    await store.ready;
    await send();
  }

  if (!isUsable) mistake("createSessionRelay needs url and a public key (pk_...).");
  if (options.consent) setConsent(options.consent);
  if (network) {
    network((state) => {
      isOnline = Boolean(state);
      if (isOnline) wake();
    });
  } else if (isWeb) listen(self, "online", wake);
  if (page) {
    listen(self, "pagehide", close);
    listen(self, "pageshow", send);
    listen(page, "visibilitychange", send);
  }
  Promise.resolve(store.ready).then(() => {
    plan();
    send();
  });

  return {
    notifyLogin: (input) => enter("login", input),
    notifyLogout: () => call({}, leave),
    signup: (input) => enter("signup", input),
    open: (input) => call(input, (moment) => add("open", moment)),
    identify: (input) => call(input, (moment) => add("identify", moment)),
    track: (name, properties) =>
      name && typeof name === "string"
        ? call({ name, properties }, (moment) => add("track", moment))
        : refuse("track needs the name of what happened."),
    pushToken: (token) =>
      token === false || (token && typeof token === "string")
        ? call({}, (moment) => {
          const { push } = who();
          add("push_token", moment, { device: { pushToken: token, previousPushToken: push && push !== token ? push : undefined } });
          set("w", { ...who(), push: token });
        })
        : refuse("pushToken needs the token, or false where push is declined."),
    setIdentity: (uid, token) =>
      isId(uid)
        ? call({}, (moment) => arrive(uid, token, moment))
        : refuse("setIdentity needs the customer's id of 1 to 128 characters."),
    reset: () =>
      call({}, (moment) => {
        const { uid, push } = who();
        if (uid || push) leave(moment);
        else set("w", {});
        who();
      }),
    setConsent,
    flush: wake,
    pending: async () => {
      await store.ready;
      return queue().map(({ event: { type, eventId, occurredAt } }) => ({ type, eventId, occurredAt }));
    },
  };
}
