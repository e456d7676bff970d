// DashX' SDKs for Node.js and for a browser: identify and track.
const root = process.env.NODE_PATH;
const version = (name) => JSON.parse(require("fs").readFileSync(`${root}/@dashx/${name}/package.json`)).version;
const keys = { publicKey: "pub_example", targetEnvironment: "staging", baseUri: `${process.env.SANDBOX}/graphql` };
const say = (library, accepted) => console.log(JSON.stringify({ library, accepted, digests: {} }));

async function node() {
  const client = require("@dashx/node").default.createClient({ ...keys, privateKey: process.env.DASHX_KEY });
  const account = await client.identify("usr_7f3a9c21", { email: "nadia.okafor@example.com", firstName: "Nadia" });
  const tracked = await client.track("User Logged In", "usr_7f3a9c21", { method: "google" });
  say(`@dashx/node ${version("node")}`, Boolean(account && tracked));
}

async function browser() {
  const kept = new Map();
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value), removeItem: (name) => kept.delete(name) };
  const location = { href: "https://shop.example.com/", search: "", hostname: "shop.example.com", pathname: "/" };
  const page = { addEventListener() {}, removeEventListener() {}, hidden: false, referrer: "", createElement: () => ({}) };
  const client = { userAgent: "example/1.0", language: "en-GB", languages: ["en-GB"] };
  Object.assign(globalThis, {
    window: { localStorage: storage, location, document: page, navigator: client, screen: { width: 1, height: 1 }, devicePixelRatio: 1, addEventListener() {}, removeEventListener() {}, crypto: globalThis.crypto },
    document: page, localStorage: storage, location, screen: { width: 1, height: 1 },
  });
  Object.defineProperty(globalThis, "navigator", { value: client, configurable: true });
  const dashx = await import(`${root}/@dashx/browser/dist/index.es.js`);
  const made = dashx.default(keys);
  const account = await made.identify({ email: "nadia.okafor@example.com" });
  const tracked = await made.track("User Logged In", { method: "google" });
  say(`@dashx/browser ${version("browser")}`, Boolean(account && tracked.data.trackEvent.success));
}

node().then(browser).then(() => process.exit(0), (fault) => { console.error(fault); process.exit(1); });
