// An agent's loop with the AI SDK.

import { execSync } from "node:child_process";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey } = process.env;
const bash = tool({
  description: "Runs a shell command.",
  inputSchema: z.object({ command: z.string() }),
  execute: ({ command }) => execSync(command, { encoding: "utf8" }),
});
const { text } = streamText({
  model: createOpenAICompatible({ name: "life-agent", baseURL, apiKey })("m"),
  prompt: "Look around and write a note.",
  tools: { bash },
  stopWhen: stepCountIs(9),
  maxRetries: 0,
});
console.log(await text);
