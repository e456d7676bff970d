// Meta's libraries for Node.js: the SDK posts an ordinary event, the parameter builder prints its digests.
const person = JSON.parse(process.env.PERSON);
const root = process.env.NODE_PATH;
const version = (name) => require(`${root}/${name}/package.json`).version;
const sdk = require("facebook-nodejs-business-sdk");
const { ParamBuilder } = require("capi-param-builder-nodejs");

Object.defineProperty(sdk.FacebookAdsApi, "GRAPH", { get: () => `${process.env.SANDBOX}/facebook` });
// Without its crash reporter, which asks for the token anew at every fault, its own included.
sdk.FacebookAdsApi.init(process.env.META_TOKEN, "en_US", false);

const user = new sdk.UserData()
  .setEmails([person.em]).setPhones([person.ph]).setFirstNames([person.fn]).setLastNames([person.ln])
  .setCities([person.ct]).setStates([person.st]).setZips([person.zp]).setCountries([person.country])
  .setExternalIds([person.external_id]).setClientIpAddress("203.0.113.24").setClientUserAgent("example/1.0")
  .setFbp("fb.1.1795100000000.1098115397");
const event = new sdk.ServerEvent()
  .setEventName("Login").setEventTime(Math.floor(Date.now() / 1000)).setEventId("sdk-3").setUserData(user)
  .setActionSource("website").setEventSourceUrl("https://shop.example.com/");

const first = (value) => (Array.isArray(value) ? value[0] : value);
const only = (digests) => Object.fromEntries(Object.keys(person).filter((name) => digests[name]).map((name) => [name, first(digests[name])]));

new sdk.EventRequest(process.env.META_TOKEN, process.env.META_DATASET, [event]).execute().then((answer) => {
  const sent = event.normalize().user_data;
  console.log(JSON.stringify({
    library: `facebook-nodejs-business-sdk ${version("facebook-nodejs-business-sdk")} (Node.js)`,
    accepted: answer._events_received === 1,
    digests: only(sent),
  }));
  const builder = new ParamBuilder();
  const kinds = { em: "email", ph: "phone", fn: "first_name", ln: "last_name", ct: "city", st: "state", zp: "zip_code", country: "country", external_id: "external_id" };
  const digests = Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, builder.getNormalizedAndHashedPII(person[name], kind)]));
  console.log(JSON.stringify({
    library: `capi-param-builder-nodejs ${version("capi-param-builder-nodejs")} (Node.js)`,
    accepted: null,
    digests: Object.fromEntries(Object.entries(digests).map(([name, digest]) => [name, digest && digest.split(".")[0]])),
  }));
});
