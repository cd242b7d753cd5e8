// LangChain for JavaScript: its chat model for OpenAI, told to use the Responses API.

import assert from "node:assert/strict";

import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { AzureChatOpenAI, ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

import { KEY, ROOT, URL_, check, run, versionOf } from "./checking.mjs";

const scripted = (name, more = {}) =>
  new ChatOpenAI({
    model: `scripted/${name}`,
    apiKey: KEY,
    configuration: { baseURL: URL_ },
    useResponsesApi: true,
    maxRetries: 0,
    ...more,
  });

const getWeather = tool(async ({ city }) => `sunny in ${city}`, {
  name: "get_weather",
  description: "The weather of a city.",
  schema: z.object({ city: z.string() }),
});

check("answers", async () => {
  const said = await scripted("echo").invoke("Say this back.");
  assert.equal(said.text, "Say this back.");
  assert.ok(said.usage_metadata.total_tokens > 0);
  const messages = [new SystemMessage("Be brief."), new HumanMessage("What now?")];
  assert.equal((await scripted("transcript").invoke(messages)).text.includes("Be brief."), true);
});

check("streams", async () => {
  let text = "";
  let whole;
  for await (const chunk of await scripted("echo").stream("One two three.")) {
    text += chunk.text;
    whole = whole ? whole.concat(chunk) : chunk;
  }
  assert.equal(text, "One two three.");
  assert.ok(whole.usage_metadata.output_tokens > 0);
});

async function called(model, question) {
  const messages = [new HumanMessage(question)];
  const first = await model.invoke(messages);
  messages.push(first);
  for (const call of first.tool_calls) {
    messages.push(
      new ToolMessage({ content: await getWeather.invoke(call.args), tool_call_id: call.id }),
    );
  }
  return { first, last: await model.invoke(messages) };
}

check("calls a tool", async () => {
  const { first, last } = await called(scripted("tool").bindTools([getWeather]), "Weather?");
  assert.equal(first.tool_calls[0].name, "get_weather");
  assert.equal(last.text, "The tool said: sunny in example");
});

check("calls tools in parallel", async () => {
  const model = scripted("tools-parallel").bindTools([getWeather]);
  const { first, last } = await called(model, "Weather twice?");
  assert.equal(first.tool_calls.length, 2);
  assert.equal(last.text, "The tool said: sunny in example; sunny in example");
});

check("thinks before it calls", async () => {
  const model = scripted("reasoning-tool").bindTools([getWeather]);
  const { last } = await called(model, "Weather?");
  assert.equal(last.text, "The tool said: sunny in example");
});

check("keeps nothing on the server", async () => {
  const model = scripted("reasoning-tool", { zdrEnabled: true }).bindTools([getWeather]);
  const { last } = await called(model, "Weather?");
  assert.equal(last.text, "The tool said: sunny in example");
});

check("streams a call's arguments", async () => {
  let whole;
  const model = scripted("tool").bindTools([getWeather]);
  for await (const chunk of await model.stream("Weather?")) {
    whole = whole ? whole.concat(chunk) : chunk;
  }
  assert.deepEqual(whole.tool_calls[0].args, { city: "example" });
});

check("gives structured output", async () => {
  const schema = z.object({ name: z.string(), tags: z.array(z.string()) });
  const model = scripted("json").withStructuredOutput(schema, { method: "jsonSchema" });
  const value = await model.invoke("Describe it.");
  assert.equal(typeof value.name, "string");
});

check("continues by previous_response_id", async () => {
  const first = await scripted("recall").invoke("My name is Ada.");
  const previous = { previous_response_id: first.response_metadata.id };
  const second = await scripted("recall").invoke("Who am I?", previous);
  assert.equal(second.text, "Your name is Ada.");
});

check("tells of a failure", async () => {
  await assert.rejects(scripted("error-429").invoke("Hi"), (error) => error.status === 429);
});

check("Azure", async () => {
  const model = new AzureChatOpenAI({
    azureOpenAIApiKey: KEY,
    azureOpenAIApiVersion: "2025-03-01-preview",
    azureOpenAIEndpoint: ROOT,
    azureOpenAIApiDeploymentName: "my-deployment",
    model: "my-deployment",
    useResponsesApi: true,
  });
  assert.equal((await model.invoke("From Azure.")).text, "From Azure.");
});

check("chat completions", async () => {
  const model = scripted("tool", { useResponsesApi: false }).bindTools([getWeather]);
  const { last } = await called(model, "Weather?");
  assert.equal(last.text, "The tool said: sunny in example");
});

await run(versionOf("@langchain/openai"));
