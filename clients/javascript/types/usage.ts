// How apps use the client, for the compiler: what must be taken, and by @ts-expect-error what must not.
import { createSessionRelay, type Pending, type RelayError, type SessionRelay, type Warning } from "../session-relay.js";

const relay: SessionRelay = createSessionRelay({
  url: "https://relay.example.com/v1",
  key: "pk_shop_example",
  identityToken: async (customerId) => (await fetch(`/token/${customerId}`)).text(),
  storage: { getItem: async (key: string) => key, setItem: async () => undefined, removeItem: async () => undefined },
  network: (changed) => changed(true),
  device: () => ({ platform: "android", model: "SM-S911B", screen: { width: 1080, height: 2340, density: 3 } }),
  ids: { appsflyerId: "1731923741208-4410928" },
  consent: { analytics: true, advertising: false },
  onWarning: ({ eventId, pointer, detail }: Warning) => console.warn(eventId, pointer, detail),
  onError: (error: RelayError) => error.code === "full" && console.error(error.message),
});
createSessionRelay({ url: "https://relay.example.com/v1", key: "pk_shop_example", storage: localStorage });

const login: Promise<undefined> = relay.notifyLogin({ customerId: "12345", email: "ana@example.com", loyaltyTier: "gold" });
const logout: Promise<undefined> = relay.notifyLogout();
const waiting: Promise<Pending[]> = relay.pending();
void [login, logout, waiting, relay.signup({ customerId: "12345", traits: { firstName: "Ana" } }), relay.open(), relay.reset()];
void [relay.identify({ traits: { firstName: "Ana" } }), relay.track("seen", { sku: "A", price: 59.9, isNew: true })];
void [relay.pushToken("fcm-example"), relay.pushToken(false), relay.setIdentity("12345", "a.b.c"), relay.flush()];
void relay.setConsent({ messaging: false });

// @ts-expect-error customerId is required
void relay.notifyLogin({ email: "ana@example.com" });
// @ts-expect-error a customer's id is text
void relay.notifyLogin({ customerId: 12345 });
// @ts-expect-error true is no push token
void relay.pushToken(true);
// @ts-expect-error a property is no object
void relay.track("seen", { cart: {} });
// @ts-expect-error there is no such platform
createSessionRelay({ url: "", key: "", device: { platform: "windows" } });
// @ts-expect-error the key is required
createSessionRelay({ url: "" });
