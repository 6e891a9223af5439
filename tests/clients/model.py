"""A stand-in for a model provider that lets an agent run shell commands, one per response.

Usage: model.py COMMAND...  Prints its port. Serves chat completions, responses and messages, whole and streamed. The
n-th response of a conversation calls the client's shell tool with the n-th command; the response after the last command
is the text "All done.". A request without a shell tool gets that text immediately.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMANDS = sys.argv[1:]
SHELLS = ["Bash", "bash", "exec_command", "shell_command", "shell", "run_shell_command", "terminal", "run"]
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def tools(body):
    """The schemas of the client's tools by name."""
    found = {}
    for tool in body.get("tools") or []:
        tool = tool.get("function", tool)
        if tool.get("name"):
            found[tool["name"]] = tool.get("parameters") or tool.get("input_schema") or {}
    return found


def results(body):
    """How many tool results the conversation holds."""
    count = 0
    for message in body.get("messages") or body.get("input") or []:
        if not isinstance(message, dict):
            continue
        count += message.get("role") == "tool" or str(message.get("type", "")).endswith("_call_output")
        parts = message.get("content")
        count += sum(part.get("type") == "tool_result" for part in parts or [] if isinstance(part, dict))
    return count


def call(body):
    """The name and arguments of the next call; none after the last command."""
    known, step = tools(body), results(body)
    name = next((shell for shell in SHELLS if shell in known), None)
    if name is None or step >= len(COMMANDS):
        return None
    fields = known[name].get("properties", {})
    field = "cmd" if "cmd" in fields else "command"
    value = COMMANDS[step]
    if fields.get(field, {}).get("type") == "array":
        value = ["bash", "-lc", value]
    arguments = {field: value}
    for required in known[name].get("required", []):
        kind = fields.get(required, {}).get("type")
        arguments.setdefault(required, {"boolean": False, "number": 0, "integer": 0}.get(kind, "step"))
    return name, arguments


def chat(body):
    message, reason = {"role": "assistant", "content": "All done."}, "stop"
    if found := call(body):
        function = {"name": found[0], "arguments": json.dumps(found[1])}
        calls = [{"id": f"call_{results(body)}", "type": "function", "function": function}]
        message, reason = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    base = {"id": "chatcmpl-1", "created": 1795000000, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return {**base, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    base["object"] = "chat.completion.chunk"
    for n, piece in enumerate(message.get("tool_calls") or []):
        piece["index"] = n
    chunks = [
        {**base, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {**base, "choices": [], "usage": USAGE},
    ]
    return [(None, chunk) for chunk in chunks] + [(None, "[DONE]")]


def messages(body):
    block, reason = {"type": "text", "text": "All done."}, "end_turn"
    if found := call(body):
        block = {"type": "tool_use", "id": f"toolu_{results(body)}", "name": found[0], "input": found[1]}
        reason = "tool_use"
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
    if not body.get("stream"):
        usage = {"input_tokens": 11, "output_tokens": 7}
        return {**message, "content": [block], "stop_reason": reason, "usage": usage}
    if block["type"] == "text":
        empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        empty = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    end = {"stop_reason": reason, "stop_sequence": None}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def responses(body):
    step = results(body)
    part = {"type": "output_text", "text": "All done.", "annotations": []}
    item = {"id": f"msg_{step}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    if found := call(body):
        item = {"id": f"fc_{step}", "type": "function_call", "status": "completed", "call_id": f"call_{step}",
                "name": found[0], "arguments": json.dumps(found[1])}
    usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
             "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    response = {"id": f"resp_{step}", "object": "response", "created_at": 1795000000, "model": body["model"],
                "status": "completed", "error": None, "incomplete_details": None, "output": [item], "usage": usage,
                "parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
    if not body.get("stream"):
        return response
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    return [(event["type"], {**event, "sequence_number": n}) for n, event in enumerate(events)]


APIS = {"/chat/completions": chat, "/messages": messages, "/responses": responses}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, kind, data):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        models = {"object": "list", "data": [{"id": "m", "object": "model"}]}
        self.answer(200, "application/json", json.dumps(models).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.split("?")[0]
        if path.endswith("/count_tokens"):
            return self.answer(200, "application/json", b'{"input_tokens": 11}')
        api = next((api for end, api in APIS.items() if path.endswith(end)), None)
        if api is None:
            return self.answer(404, "application/json", b'{"error": {"message": "no such API"}}')
        reply = api(body)
        if isinstance(reply, dict):
            return self.answer(200, "application/json", json.dumps(reply).encode())
        frames = b""
        for name, event in reply:
            data = event if isinstance(event, str) else json.dumps(event)
            frames += (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()
        self.answer(200, "text/event-stream", frames)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
