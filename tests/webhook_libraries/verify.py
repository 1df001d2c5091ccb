"""Judges deliveries by the libraries that receivers in Python use. What is to be judged comes in as JSON; how often each accepted and refused goes out."""
import base64
import json
import sys

try:
    import standardwebhooks
    import svix.webhooks
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as absent:
    print(absent, file=sys.stderr)
    sys.exit(77)


def by_ed25519(key, body, headers):
    """The libraries know shared secrets only, so `v1a` is judged by its definition."""
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split(" "):
        version, _, encoded = signature.partition(",")
        if version == "v1a":
            try:
                return public.verify(base64.b64decode(encoded), signed)
            except InvalidSignature:
                pass
    raise ValueError("no signature fits")


def by_cloudevents(_key, body, headers):
    event = from_http_event(HTTPMessage(headers=headers, body=body))
    assert event.get_specversion() == "1.0" and event.get_time().tzinfo is not None
    assert event.get_id() == headers["webhook-id"] and event.get_type().startswith("dmwsi.v1.")
    assert event.get_datacontenttype() == "application/json" and event.get_data()["subscriptionId"].startswith("sub_")
    assert len(event.get_extension("sequence")) == 20


JUDGES = {
    "standardwebhooks": lambda key, body, headers: standardwebhooks.Webhook(key).verify(body, headers),
    "svix": lambda key, body, headers: svix.webhooks.Webhook(key).verify(body, headers),
    "ed25519": by_ed25519,
    "cloudevents": by_cloudevents,
}

counts = {name: {"accepted": 0, "refused": 0} for name in JUDGES}
for case in json.load(sys.stdin):
    body = base64.b64decode(case["body"])
    for name in case["by"]:
        try:
            JUDGES[name](case["key"], body, case["headers"])
            counts[name]["accepted"] += 1
            if not case["genuine"]:
                sys.exit(f"{name} takes what is not genuine: {case['what']}")
        except Exception as error:
            counts[name]["refused"] += 1
            if case["genuine"]:
                sys.exit(f"{name} refuses {case['what']}: {error!r}")
print(json.dumps(counts))
