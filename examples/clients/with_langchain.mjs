// LangChain for JavaScript: a model with a tool, over the Responses API.

import { HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const getWeather = tool(async ({ city }) => `It is sunny in ${city}, 21 degrees.`, {
  name: "get_weather",
  description: "Get the current weather of a city.",
  schema: z.object({ city: z.string() }),
});

const model = new ChatOpenAI({
  model: process.env.MODEL ?? "demo-antiphon",
  apiKey: process.env.OPENAI_API_KEY ?? "any",
  configuration: { baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8484/v1" },
  useResponsesApi: true,
}).bindTools([getWeather]);

const messages = [new HumanMessage("What is the weather in Paris?")];
for (let turn = 0; turn < 5; turn += 1) {
  const said = await model.invoke(messages);
  messages.push(said);
  if (said.tool_calls.length === 0) break;
  for (const call of said.tool_calls) messages.push(await getWeather.invoke(call));
}
console.log(messages.at(-1).text);
