// Judges deliveries by the libraries that receivers in Node use. What is to be judged comes in as JSON; how often each accepted and refused goes out.
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");

let standard, svix, cloudevents;
try {
    standard = require("standardwebhooks");
    svix = require("svix");
    cloudevents = require("cloudevents");
} catch (absent) {
    console.error(absent.message);
    process.exit(77);
}

// The libraries know shared secrets only, so `v1a` is judged by its definition.
function byEd25519(key, body, headers) {
    const x = Buffer.from(key.replace(/^whpk_/, ""), "base64").toString("base64url");
    const publicKey = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
    const fits = headers["webhook-signature"].split(" ").some((signature) => {
        const [version, encoded] = signature.split(",");
        return version === "v1a" && crypto.verify(null, signed, publicKey, Buffer.from(encoded, "base64"));
    });
    assert(fits, "no signature fits");
}

function byCloudEvents(_key, body, headers) {
    const event = cloudevents.HTTP.toEvent({ headers, body: body.toString() });
    assert(event.validate());
    assert.strictEqual(event.specversion, "1.0");
    assert.strictEqual(event.id, headers["webhook-id"]);
    assert(event.type.startsWith("dmwsi.v1.") && event.data.subscriptionId.startsWith("sub_"));
    assert(!Number.isNaN(Date.parse(event.time)) && event.sequence.length === 20);
}

const judges = {
    standardwebhooks: (key, body, headers) => new standard.Webhook(key).verify(body, headers),
    svix: (key, body, headers) => new svix.Webhook(key).verify(body, headers),
    ed25519: byEd25519,
    cloudevents: byCloudEvents,
};

const counts = Object.fromEntries(Object.keys(judges).map((name) => [name, { accepted: 0, refused: 0 }]));
for (const { what, key, headers, body, genuine, by } of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
    for (const name of by) {
        let refusal;
        try {
            judges[name](key, Buffer.from(body, "base64"), headers);
        } catch (error) {
            refusal = error;
        }
        counts[name][refusal ? "refused" : "accepted"] += 1;
        if (genuine === Boolean(refusal)) {
            console.error(genuine ? `${name} refuses ${what}: ${refusal}` : `${name} takes what is not genuine: ${what}`);
            process.exit(1);
        }
    }
}
console.log(JSON.stringify(counts));
