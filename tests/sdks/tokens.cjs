// jsonwebtoken and jose verify a token that the product minted, and mint one for the product to verify.
const key = process.env.DASHX_KEY;
const token = process.env.TOKEN;
const version = (name) => JSON.parse(require("fs").readFileSync(`${process.env.NODE_PATH}/${name}/package.json`)).version;
const say = (name, uid, minted) => console.log(JSON.stringify({ library: `${name} ${version(name)}`, accepted: uid === "usr_7f3a9c21", minted, digests: {} }));

async function main() {
  const jwt = require("jsonwebtoken");
  const claims = { kind: "USER", uid: "usr_7f3a9c21" };
  say("jsonwebtoken", jwt.verify(token, key, { algorithms: ["HS256"] }).uid, jwt.sign(claims, key, { expiresIn: 3600 }));
  const jose = require("jose");
  const bytes = new TextEncoder().encode(key);
  const { payload } = await jose.jwtVerify(token, bytes, { algorithms: ["HS256"] });
  say("jose", payload.uid, await new jose.SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setExpirationTime("1h").sign(bytes));
}

main();
