// Vercel's AI SDK with its providers for OpenAI and for Azure. It reads every answer and every
// event with strict schemas, and drops without a word what does not fit.

import assert from "node:assert/strict";

import { createAzure } from "@ai-sdk/azure";
import { createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, ToolLoopAgent, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { KEY, MCP, PYTHON, ROOT, URL_, check, programBeside, run, versionOf } from "./checking.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const provider = createOpenAI({ baseURL: URL_, apiKey: KEY });
const scripted = (name) => provider(`scripted/${name}`);

const tools = {
  get_weather: tool({
    description: "The weather of a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `sunny in ${city}`,
  }),
};
const many = { stopWhen: stepCountIs(5), maxRetries: 0 };

// What it thinks of as a thinking model decides whether it sends thoughts back.
const thinking = (more) => ({ providerOptions: { openai: { forceReasoning: true, ...more } } });

function faithful(result) {
  assert.deepEqual(result.warnings ?? [], []);
  return result;
}

check("generates text", async () => {
  const result = await generateText({ model: scripted("echo"), prompt: "Say this back." });
  faithful(result);
  assert.equal(result.text, "Say this back.");
  assert.equal(result.finishReason, "stop");
  assert.ok(result.usage.totalTokens > 0);
  assert.match(result.providerMetadata.openai.responseId, /^resp_/);
});

check("passes system, settings and images on", async () => {
  const settings = await generateText({
    model: scripted("settings"),
    system: "Be brief.",
    prompt: "Go.",
    temperature: 0.5,
    maxOutputTokens: 2000,
    topP: 0.9,
  });
  const seen = JSON.parse(settings.text);
  assert.equal(seen.temperature, 0.5);
  assert.equal(seen.top_p, 0.9);
  const image = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const looked = await generateText({
    model: scripted("vision"),
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "Look." },
          { type: "image", image },
        ],
      },
    ],
  });
  assert.equal(looked.text, "I see 1 image(s).");
});

check("streams text", async () => {
  const result = streamText({ model: scripted("echo"), prompt: "One two three." });
  const kinds = [];
  let text = "";
  for await (const part of result.fullStream) {
    kinds.push(part.type);
    if (part.type === "text-delta") text += part.text;
    if (part.type === "error") throw part.error;
  }
  assert.equal(text, "One two three.");
  assert.ok(kinds.includes("text-start") && kinds.includes("text-end"));
  assert.equal(kinds.at(-1), "finish");
  assert.equal(await result.finishReason, "stop");
});

check("runs a tool in steps", async () => {
  const result = await generateText({
    model: scripted("tool"),
    prompt: "Weather?",
    tools,
    ...many,
  });
  assert.equal(result.text, "The tool said: sunny in example");
  assert.equal(result.steps.length, 2);
  assert.equal(result.steps[0].toolResults[0].output, "sunny in example");
});

check("streams a tool's steps", async () => {
  const result = streamText({
    model: scripted("tools-parallel"),
    prompt: "Weather twice?",
    tools,
    ...many,
  });
  let input = "";
  let calls = 0;
  for await (const part of result.fullStream) {
    if (part.type === "tool-input-delta") input += part.delta;
    if (part.type === "tool-call") calls += 1;
    if (part.type === "error") throw part.error;
  }
  assert.equal(calls, 2);
  assert.equal(input, '{"city":"example"}'.repeat(2));
  assert.equal(await result.text, "The tool said: sunny in example; sunny in example");
});

check("refers back to stored thoughts", async () => {
  const messages = [{ role: "user", content: "Weather?" }];
  const first = await generateText({
    model: scripted("reasoning-tool"),
    messages,
    tools,
    ...many,
    ...thinking({ reasoningSummary: "auto" }),
  });
  assert.equal(first.text, "The tool said: sunny in example");
  const heard = first.responseMessages ?? first.response.messages; // from version 7 on, before it
  messages.push(...heard, { role: "user", content: "And now?" });
  const second = streamText({ model: scripted("transcript"), messages, tools, ...thinking({}) });
  const text = await second.text;
  assert.match(text, /thought: A tool will know\./);
  assert.match(text, /call get_weather/);
  assert.match(text, /result: sunny in example/);
});

check("sends sealed thoughts back", async () => {
  const sealed = thinking({
    store: false,
    include: ["reasoning.encrypted_content"],
    reasoningContext: "all_turns", // else thoughts from before the last question are left out
  });
  const messages = [{ role: "user", content: "Weather?" }];
  const asked = { model: scripted("reasoning-tool"), messages, tools, ...many, ...sealed };
  assert.equal((await generateText(asked)).text, "The tool said: sunny in example");

  const model = scripted("rethink");
  const first = await generateText({ model, prompt: "Think.", ...sealed });
  assert.equal(first.text, "I remember: nothing");
  const again = [
    { role: "user", content: "Think." },
    ...first.response.messages,
    { role: "user", content: "Think again." },
  ];
  const second = await generateText({ model, messages: again, ...sealed });
  assert.equal(second.text, "I remember: Thought number 1.");
});

check("continues by previousResponseId", async () => {
  const first = await generateText({ model: scripted("recall"), prompt: "My name is Ada." });
  const previousResponseId = first.providerMetadata.openai.responseId;
  const second = await generateText({
    model: scripted("recall"),
    prompt: "Who am I?",
    providerOptions: { openai: { previousResponseId } },
  });
  assert.equal(second.text, "Your name is Ada.");
});

check("keeps to an object's schema", async () => {
  const schema = z.object({
    name: z.string(),
    tags: z.array(z.string()),
    kind: z.enum(["a", "b"]),
  });
  const output = Output.object({ schema });
  const whole = await generateText({ model: scripted("json"), prompt: "Describe it.", output });
  assert.equal(whole.output.kind, "a");
  const streamed = streamText({ model: scripted("json"), prompt: "Describe it.", output });
  const partial = [];
  for await (const part of streamed.partialOutputStream) partial.push(part);
  assert.ok(partial.length > 0);
  assert.deepEqual(await streamed.output, whole.output);
});

check("works as an agent", async () => {
  const agent = new ToolLoopAgent({ model: scripted("tool"), instructions: "Be brief.", tools });
  const result = await agent.generate({ prompt: "Weather?" });
  assert.equal(result.text, "The tool said: sunny in example");
});

check("calls an MCP server of its own", async () => {
  const transport = new Experimental_StdioMCPTransport({
    command: PYTHON,
    args: [programBeside("weather_mcp.py")],
  });
  const client = await createMCPClient({ transport });
  try {
    const result = await generateText({
      model: scripted("tool"),
      prompt: "Weather?",
      tools: await client.tools(),
      ...many,
    });
    assert.match(result.text, /sunny in example/);
  } finally {
    await client.close();
  }
});

check("has the server call an MCP server", async () => {
  const weather = provider.tools.mcp({ serverLabel: "sky", serverUrl: MCP });
  const asked = { model: scripted("tool"), tools: { weather }, ...many };
  const result = streamText({ ...asked, prompt: "Weather?" });
  const results = [];
  for await (const part of result.fullStream) {
    if (part.type === "tool-result") results.push(part.output);
    if (part.type === "error") throw part.error;
  }
  assert.match(results[0].output, /sunny in example/);
  assert.match(await result.text, /sunny in example/);

  const again = [
    { role: "user", content: "Weather?" },
    ...(await result.response).messages,
    { role: "user", content: "And now?" },
  ];
  const second = await generateText({ ...asked, messages: again });
  assert.match(second.text, /sunny in example/);
});

check("approves the server's MCP calls", async () => {
  const weather = provider.tools.mcp({
    serverLabel: "sky",
    serverUrl: MCP,
    requireApproval: "always",
  });
  const asked = { model: scripted("tool"), tools: { weather }, ...many };
  const messages = [{ role: "user", content: "Weather?" }];
  const first = await generateText({ ...asked, messages });
  const request = first.content.find((part) => part.type === "tool-approval-request");
  assert.ok(request, JSON.stringify(first.content));
  const answer = {
    type: "tool-approval-response",
    approvalId: request.approvalId,
    approved: true,
    providerExecuted: true,
  };
  messages.push(...first.response.messages, { role: "tool", content: [answer] });
  const second = await generateText({ ...asked, messages });
  assert.match(second.text, /sunny in example/);
});

check("calls a custom tool", async () => {
  const noted = [];
  const note = provider.tools.customTool({ name: "note", description: "Takes a note." });
  note.execute = async (input) => {
    noted.push(input);
    return "noted";
  };
  const result = await generateText({
    model: scripted("custom"),
    prompt: "Remember the milk.",
    tools: { note },
    ...many,
  });
  assert.deepEqual(noted, ["Remember the milk."]);
  assert.equal(result.text, "The tool said: noted");
});

check("runs its local shell", async () => {
  const ran = [];
  const execute = async ({ action }) => {
    ran.push(action.command);
    return { output: "done" };
  };
  const result = await generateText({
    model: scripted("tool"),
    prompt: "List it.",
    tools: { local_shell: provider.tools.localShell({ execute }) },
    ...many,
  });
  assert.ok(Array.isArray(ran[0]));
  assert.match(result.text, /done/);
});

check("runs its shell", async () => {
  const ran = [];
  const execute = async ({ action }) => {
    ran.push(...action.commands);
    return { output: [{ stdout: "done", stderr: "", outcome: { type: "exit", exitCode: 0 } }] };
  };
  const result = streamText({
    model: scripted("tool"),
    prompt: "List it.",
    tools: { shell: provider.tools.shell({ execute }) },
    ...many,
  });
  assert.match(await result.text, /done/);
  assert.ok(ran.length > 0);
});

check("applies a patch", async () => {
  const operations = [];
  const execute = async ({ operation }) => {
    operations.push(operation);
    return { status: "completed", output: "patched" };
  };
  const result = streamText({
    model: scripted("tool"),
    prompt: "Change it.",
    tools: { apply_patch: provider.tools.applyPatch({ execute }) },
    ...many,
  });
  assert.match(await result.text, /patched/);
  assert.equal(typeof operations[0].path, "string");
});

check("tells of a failure", async () => {
  const limited = generateText({ model: scripted("error-429"), prompt: "Hi", maxRetries: 0 });
  await assert.rejects(limited, (error) => error.statusCode === 429 && error.isRetryable);
  const broken = streamText({
    model: scripted("error-after-3"),
    prompt: "Hi",
    maxRetries: 0,
    onError: () => {},
  });
  const kinds = [];
  for await (const part of broken.fullStream) kinds.push(part.type);
  assert.ok(kinds.includes("error"), kinds.join());
});

check("is cut off at the token limit", async () => {
  const result = await generateText({ model: scripted("length"), prompt: "Go on." });
  assert.equal(result.finishReason, "length");
});

check("Azure provider", async () => {
  const azure = createAzure({ baseURL: `${ROOT}/openai/v1`, apiKey: KEY });
  const whole = await generateText({ model: azure("my-deployment"), prompt: "From Azure." });
  assert.equal(whole.text, "From Azure.");
  const streamed = streamText({ model: azure("my-tools"), prompt: "Weather?", tools, ...many });
  assert.equal(await streamed.text, "The tool said: sunny in example");
  const dated = createAzure({
    baseURL: `${ROOT}/openai`,
    apiKey: KEY,
    apiVersion: "2025-04-01-preview",
    useDeploymentBasedUrls: true,
  });
  const old = await generateText({ model: dated("my-deployment"), prompt: "By date." });
  assert.equal(old.text, "By date.");
});

check("chat completions", async () => {
  const model = provider.chat("scripted/tool");
  const result = await generateText({ model, prompt: "Weather?", tools, ...many });
  assert.equal(result.text, "The tool said: sunny in example");
});

await run(versionOf("ai"));
