"""Verifies messages with the package of Standard Webhooks. Standard input: JSON with secret, messages."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
webhook = Webhook(given["secret"])
for message in given["messages"]:
    body, headers = message["body"], message["headers"]
    assert webhook.verify(body, headers) == json.loads(body), body
    for changed in (
        (body.replace("gpt", "bot"), headers),
        (body, {**headers, "webhook-id": headers["webhook-id"] + "0"}),
        (body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
    ):
        try:
            webhook.verify(*changed)
        except WebhookVerificationError:
            continue
        raise AssertionError(f"a changed message was accepted: {changed}")
print("all is well")
