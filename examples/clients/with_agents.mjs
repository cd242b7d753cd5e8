// The Agents SDK: an agent with a tool. OPENAI_BASE_URL and OPENAI_API_KEY say where the server is.

import { Agent, Runner, tool } from "@openai/agents";
import { z } from "zod";

const getWeather = tool({
  name: "get_weather",
  description: "Get the current weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `It is sunny in ${city}, 21 degrees.`,
});

const agent = new Agent({
  name: "Helper",
  instructions: "Answer in one sentence.",
  model: process.env.MODEL ?? "demo-antiphon",
  tools: [getWeather],
});

const runner = new Runner({ tracingDisabled: true });
const result = await runner.run(agent, "What is the weather in Paris?");
console.log(result.finalOutput);
