"""Asks life-agent about a tool call before it runs. The standard library is enough.

A call without a decision is refused: the service may be away, or the key wrong.
"""

import contextlib
import json
import os
import urllib.error
import urllib.request

URL = os.environ.get("LIFE_AGENT_URL", "http://127.0.0.1:8000").rstrip("/")
KEY = os.environ.get("LIFE_AGENT_KEY", "")
AGENT = os.environ.get("LIFE_AGENT_AGENT", "my-agent")


class Refused(Exception):
    """The call must not run. The text says why, and what to do next."""


class Call:
    """An allowed call."""

    def __init__(self, event_id):
        self.event_id = event_id

    def result(self, result, is_error=False):
        """Reports the result. The service keeps its digest, size and labels."""
        _post(f"/tool/{self.event_id}/result", {"result": result, "is_error": is_error})


@contextlib.contextmanager
def guarded(tool, arguments):
    """Runs its block if the service allows the call."""
    body = {"agent_id": AGENT, "tool": tool, "arguments": arguments, "cwd": os.getcwd()}
    status, answer = _post("/tool", body)
    if status != 200:
        error = answer.get("error", {})
        details = error.get("details") or {}
        url = details.get("url") if isinstance(details, dict) else None
        where = f"; a person can approve it at {url}, then repeat the same call" if url else ""
        raise Refused(f"refused: {error.get('message', f'status {status}')}{where}")
    yield Call(answer["event_id"])


def _post(path, body):
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"Content-Type": "application/json", "X-API-Key": KEY}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return error.code, json.load(error)
        return error.code, {}
    except OSError as error:
        raise Refused(f"refused: no decision, because life-agent does not respond: {error}") from error
