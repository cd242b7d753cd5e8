// Vercel's AI SDK: a tool, and the answer as it is written.

import { createOpenAI } from "@ai-sdk/openai";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const provider = createOpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8484/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "any",
});

const result = streamText({
  model: provider(process.env.MODEL ?? "demo-antiphon"),
  prompt: "What is the weather in Paris?",
  stopWhen: stepCountIs(5),
  tools: {
    get_weather: tool({
      description: "Get the current weather of a city.",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => `It is sunny in ${city}, 21 degrees.`,
    }),
  },
});

for await (const text of result.textStream) process.stdout.write(text);
console.log();
