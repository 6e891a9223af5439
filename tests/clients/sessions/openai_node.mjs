// Chat completions, streamed, with OpenAI's client for Node.js.

import { execSync } from "node:child_process";
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const parameters = { type: "object", properties: { command: { type: "string" } }, required: ["command"] };
const tools = [{ type: "function", function: { name: "bash", description: "Runs a shell command.", parameters } }];
const talk = [{ role: "user", content: "Look around and write a note." }];
for (;;) {
  const stream = client.chat.completions.stream({ model: "m", messages: talk, tools });
  const message = (await stream.finalChatCompletion()).choices[0].message;
  talk.push(message);
  if (!message.tool_calls?.length) {
    console.log(message.content);
    break;
  }
  for (const call of message.tool_calls) {
    const content = execSync(JSON.parse(call.function.arguments).command, { encoding: "utf8" });
    talk.push({ role: "tool", tool_call_id: call.id, content });
  }
}
