"""Verifies webhooks: a secret, then a JSON object with headers and a body in each line of the input. Prints the ids that hold."""

import json
import sys

from standardwebhooks import Webhook

webhook = Webhook(sys.argv[1])
for line in sys.stdin:
    took = json.loads(line)
    body = webhook.verify(took["body"], took["headers"])
    print(body["data"]["id"])
