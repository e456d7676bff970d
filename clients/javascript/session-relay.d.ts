/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/** Storage of one app, such as React Native's AsyncStorage. Without one, a page's localStorage is used. */
export interface Storage {
  getItem(key: string): Awaitable<string | null | undefined>;
  setItem(key: string, value: string): Awaitable<unknown>;
  /** Needed to forget a person where storage is full. */
  removeItem?(key: string): Awaitable<unknown>;
}

/** What an app knows of its device; the names are those of the HTTP API. Push tokens go by `pushToken()` alone. */
export interface Device {
  id?: string;
  platform?: "ios" | "android" | "web";
  model?: string;
  manufacturer?: string;
  osVersion?: string;
  appId?: string;
  appVersion?: string;
  appBuild?: string;
  /** A language tag, as in `pt-BR`. */
  language?: string;
  /** A name of the IANA time zone database, as in `America/Sao_Paulo`. */
  timezone?: string;
  advertisingId?: string;
  vendorId?: string;
  adTracking?: boolean;
  attStatus?: "notDetermined" | "restricted" | "denied" | "authorized";
  carrier?: string;
  screen?: { width?: number; height?: number; density?: number };
  cpuCores?: number;
  storageGb?: number;
  freeStorageGb?: number;
}

/** What the agents' own SDKs call this installation. */
export interface Ids {
  appsflyerId?: string;
  gaAppInstanceId?: string;
  gaClientId?: string;
  gaSessionId?: string;
  fbp?: string;
  fbc?: string;
  fbAnonId?: string;
}

/** What the person allowed; a purpose that is absent follows the deployment's default. */
export interface Consent {
  analytics?: boolean;
  advertising?: boolean;
  messaging?: boolean;
  adPersonalization?: boolean;
  saleOptOut?: boolean;
  gdprApplies?: boolean;
  tcf?: { policyVersion: number; cmpSdkId: number; cmpSdkVersion: number; tcString: string };
}

/** What else an event may say; a string under any other name is a property. */
export interface EventInput {
  /** As in `ana@example.com`. */
  email?: string;
  /** In E.164, as in `+5511999887766`. */
  phone?: string;
  /** How the person logged in or signed up. */
  method?: string;
  traits?: { firstName?: string; lastName?: string; name?: string };
  properties?: Properties;
  device?: Device;
  ids?: Ids;
  context?: { url?: string };
  [property: string]: unknown;
}

export interface Properties {
  [name: string]: string | number | boolean;
}

export interface NotifyLoginInput extends EventInput {
  /** The customer's id in your system: 1 to 128 characters. */
  customerId: string;
  /** The customer's identity token, where the app has it at hand. */
  identityToken?: string;
}

export interface Options {
  /** The stack's output ApiUrl, which ends with `/v1`. */
  url: string;
  /** The app's public key, `pk_...`. */
  key: string;
  /** Asks the app's own back end for the identity token of a customer; called when one is needed, or about to end. */
  identityToken?: (customerId: string) => Awaitable<string | null | undefined>;
  storage?: Storage;
  /** What the app knows of its device, or a function that says it at each call. */
  device?: Device | (() => Device);
  /** What the agents' SDKs call this installation, or a function that says it at each call. */
  ids?: Ids | (() => Ids);
  /** As by `setConsent()`; without it what was set last, in this run of the app or an earlier one, holds. */
  consent?: Consent;
  /** Says when the network comes and goes: `(changed) => NetInfo.addEventListener((s) => changed(s.isConnected))`. */
  network?: (changed: (isOnline: boolean | null) => void) => unknown;
  /** An accepted event has something that was left out of it, or changed. */
  onWarning?: (warning: Warning) => void;
  /** Something was lost, waits for a repair, or is a programming mistake. It names no person. */
  onError?: (error: RelayError) => void;
}

export interface Warning {
  type: string;
  eventId: string;
  /** A JSON Pointer, as in `#/phone`. */
  pointer: string;
  detail: string;
}

export type ErrorCode =
  /** A programming mistake, found here or by the relay; the event is dropped. */
  | "invalid"
  /** The relay refuses the event for another reason; it is dropped. */
  | "rejected"
  /** The relay has had another event under this id. A logout or declined push goes again, any other is dropped. */
  | "conflict"
  /** The queue or the storage is full; the event is dropped. */
  | "full"
  /** Storage takes nothing; events live as long as the page. */
  | "storage"
  /** The token of a person ended: that of the one who is here must be renewed; the event of one who left is dropped. */
  | "identity"
  /** The relay refuses the key or does not know the address: everything is kept. */
  | "refused"
  /** The relay does not let pages of this origin call it: everything is kept. */
  | "cors"
  /** A fault of this client: everything is kept. */
  | "internal";

export interface RelayError {
  code: ErrorCode;
  message?: string;
  /** The event's type and id, where the error is about one event. */
  type?: string;
  eventId?: string;
  /** The HTTP status, where there was one. */
  status?: number;
  /** The faults that the relay found, each with its place. */
  errors?: Array<{ pointer: string; detail: string }>;
}

export interface Pending {
  type: string;
  eventId: string;
  /** RFC 3339. */
  occurredAt: string;
}

/** Every call resolves to undefined once what it did is stored, and never rejects. */
export interface SessionRelay {
  /** A person logged in. Another person who was logged in is logged out first. */
  notifyLogin(input: NotifyLoginInput): Promise<undefined>;
  /** The person logged out. Nothing after it carries the person, the visitor's id or the push token. */
  notifyLogout(): Promise<undefined>;
  /** An account was made, and its person is logged in. */
  signup(input: NotifyLoginInput): Promise<undefined>;
  /** The app came to the foreground. */
  open(input?: EventInput): Promise<undefined>;
  /** The profile of the person, or visitor, changed. */
  identify(input: EventInput): Promise<undefined>;
  /** Anything else happened. */
  track(name: string, properties?: Properties): Promise<undefined>;
  /** Push was accepted or renewed with this token; false: it was declined. */
  pushToken(token: string | false): Promise<undefined>;
  /** Who is logged in, and the token that proves it; sends no event. */
  setIdentity(uid: string, token?: string): Promise<undefined>;
  /** Logs out the person who is logged in; the next events are a new visitor's. */
  reset(): Promise<undefined>;
  /** What the person allows from now on; kept until it is set again. */
  setConsent(consent: Consent): Promise<undefined>;
  /** Tries to send now; resolves once all is sent or something is in the way. Retry-After is honoured. */
  flush(): Promise<undefined>;
  /** What waits to be sent, oldest first. */
  pending(): Promise<Pending[]>;
}

export function createSessionRelay(options: Options): SessionRelay;
