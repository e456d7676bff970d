// The libraries standardwebhooks and svix for Node.js verify a message that the product signed.
const signed = JSON.parse(process.env.WEBHOOK);
for (const library of ["standardwebhooks", "svix"]) {
  const { Webhook } = require(library);
  new Webhook(signed.secret).verify(signed.body, signed.headers);
  let accepted = false;
  try {
    new Webhook(signed.secret).verify(`${signed.body} `, signed.headers);
  } catch (refused) {
    accepted = refused.constructor.name === "WebhookVerificationError";
  }
  const { version } = JSON.parse(require("fs").readFileSync(`${process.env.NODE_PATH}/${library}/package.json`));
  console.log(JSON.stringify({ library: `${library} ${version} (Node.js)`, accepted, digests: {} }));
}
