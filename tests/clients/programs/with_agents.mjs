// The Agents SDK for JavaScript: its agents, tools, handoffs, sessions, both transports, MCP.

import assert from "node:assert/strict";

import {
  Agent,
  MCPServerStdio,
  MaxTurnsExceededError,
  MemorySession,
  OpenAIConversationsSession,
  OpenAIProvider,
  OpenAIResponsesCompactionSession,
  Runner,
  applyPatchTool,
  hostedMcpTool,
  shellTool,
  tool,
  user,
  withResponsesWebSocketSession,
} from "@openai/agents";
import OpenAI from "openai";
import WebSocket from "ws";
import { z } from "zod";

import { KEY, PYTHON, ROOT, URL_, check, programBeside, run, versionOf } from "./checking.mjs";

globalThis.WebSocket ??= WebSocket; // Node has one from version 22 on
const client = new OpenAI({ baseURL: URL_, apiKey: KEY });
const provider = new OpenAIProvider({ openAIClient: client });
const runner = new Runner({ modelProvider: provider, tracingDisabled: true });

const getWeather = tool({
  name: "get_weather",
  description: "The weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

function agent(script, more = {}) {
  return new Agent({
    name: "Helper",
    instructions: "Be brief.",
    model: `scripted/${script}`,
    ...more,
  });
}

const ask = (who, said, more = {}) => runner.run(who, said, more);

check("answers", async () => {
  assert.equal((await ask(agent("echo"), "Say this back.")).finalOutput, "Say this back.");
  assert.equal((await ask(agent("instructions"), "What now?")).finalOutput, "Be brief.");
});

check("streams the text", async () => {
  const result = await ask(agent("echo"), "Stream this.", { stream: true });
  let text = "";
  for await (const piece of result.toTextStream()) text += piece;
  await result.completed;
  assert.equal(text, "Stream this.");
  assert.equal(result.finalOutput, text);
});

check("runs a tool", async () => {
  const result = await ask(agent("tool", { tools: [getWeather] }), "Weather?");
  assert.equal(result.finalOutput, "The tool said: sunny in example");
});

check("streams parallel calls", async () => {
  const who = agent("tools-parallel", { tools: [getWeather] });
  const result = await ask(who, "Weather twice?", { stream: true });
  const names = [];
  for await (const event of result) {
    if (event.type === "run_item_stream_event") names.push(event.name);
  }
  await result.completed;
  assert.equal(names.filter((name) => name === "tool_called").length, 2);
  assert.equal(result.finalOutput, "The tool said: sunny in example; sunny in example");
});

check("asks before it runs a tool", async () => {
  const guarded = tool({
    name: "get_weather",
    description: "The weather of a city.",
    parameters: z.object({ city: z.string() }),
    needsApproval: true,
    execute: async ({ city }) => `allowed in ${city}`,
  });
  const who = agent("tool", { tools: [guarded] });
  const first = await ask(who, "Weather?");
  assert.equal(first.interruptions.length, 1);
  first.state.approve(first.interruptions[0]);
  const second = await runner.run(who, first.state);
  assert.equal(second.finalOutput, "The tool said: allowed in example");
});

check("gives structured output", async () => {
  const Person = z.object({ name: z.string(), age: z.number() });
  const result = await ask(agent("json", { outputType: Person }), "Who?");
  assert.equal(typeof result.finalOutput.age, "number");
});

check("hands over", async () => {
  const specialist = new Agent({
    name: "Specialist",
    instructions: "You know.",
    model: "scripted/transcript",
  });
  const result = await ask(agent("tool", { handoffs: [specialist] }), "I need a specialist.");
  assert.equal(result.lastAgent.name, "Specialist");
  assert.match(result.finalOutput, /I need a specialist/);
  assert.match(result.finalOutput, /transfer_to_specialist/i);
});

check("asks another agent as a tool", async () => {
  const helper = agent("hello").asTool({ toolName: "ask_helper", toolDescription: "Asks." });
  const result = await ask(agent("tool", { tools: [helper] }), "Ask.");
  assert.equal(result.finalOutput, "The tool said: Hello! How can I help you today?");
});

check("keeps a session in memory", async () => {
  const session = new MemorySession();
  await ask(agent("recall"), "My name is Ada.", { session });
  const result = await ask(agent("recall"), "Who am I?", { session });
  assert.equal(result.finalOutput, "Your name is Ada.");
  assert.equal((await session.getItems()).length, 4);
});

check("keeps a conversation session", async () => {
  const session = new OpenAIConversationsSession({ client });
  const first = await ask(agent("tool", { tools: [getWeather] }), "My name is Ada.", { session });
  assert.equal(first.finalOutput, "The tool said: sunny in example");
  const second = await ask(agent("recall"), "Who am I?", { session });
  assert.equal(second.finalOutput, "Your name is Ada.");
  const items = await session.getItems();
  assert.deepEqual(
    items.map((item) => item.role ?? item.type),
    ["user", "function_call", "function_call_result", "assistant", "user", "assistant"],
  );
  assert.equal((await session.popItem()).role, "assistant");
  assert.equal((await session.getItems()).length, 5);
  await session.clearSession();
});

check("compacts a session", async () => {
  const session = new OpenAIResponsesCompactionSession({
    // It takes the names of OpenAI's models only; a deployment of Azure's flavour may have one.
    client: new OpenAI({ baseURL: `${ROOT}/openai/v1/`, apiKey: KEY }),
    model: "gpt-4.1",
    shouldTriggerCompaction: ({ compactionCandidateItems }) => compactionCandidateItems.length >= 2,
  });
  let result;
  for (const said of ["My dog is called Rex.", "He is brown.", "He likes walks."]) {
    result = await ask(agent("summary"), said, { session });
  }
  assert.match(result.finalOutput, /Rex/);
  const items = await session.getItems();
  assert.ok(items.some((item) => item.type === "compaction"));
});

check("continues on the server", async () => {
  const first = await ask(agent("recall"), "My name is Ada.");
  const previousResponseId = first.lastResponseId;
  const second = await ask(agent("recall"), "Who am I?", { previousResponseId });
  assert.equal(second.finalOutput, "Your name is Ada.");
  const conversation = await client.conversations.create();
  await ask(agent("recall"), "My name is Bo.", { conversationId: conversation.id });
  const third = await ask(agent("recall"), "Who am I?", { conversationId: conversation.id });
  assert.equal(third.finalOutput, "Your name is Bo.");
});

check("keeps nothing, sends sealed thoughts", async () => {
  const modelSettings = {
    store: false,
    providerData: { include: ["reasoning.encrypted_content"] },
  };
  const who = agent("reasoning-tool", { tools: [getWeather], modelSettings });
  const result = await ask(who, "Weather?");
  assert.equal(result.finalOutput, "The tool said: sunny in example");
  const thought = result.history.find((item) => item.type === "reasoning");
  assert.ok(thought.providerData.encrypted_content ?? thought.providerData.encryptedContent);
  const again = await ask(who, [...result.history, user("And now?")]);
  assert.equal(again.finalOutput, "The tool said: sunny in example");
});

check("talks over a WebSocket", async () => {
  const asked = {
    providerOptions: { apiKey: KEY, baseURL: URL_ },
    runnerConfig: { tracingDisabled: true },
  };
  await withResponsesWebSocketSession(async ({ runner: socketed }) => {
    const first = await socketed.run(agent("tool", { tools: [getWeather] }), "Weather?", {
      stream: true,
    });
    for await (const _ of first);
    assert.equal(first.finalOutput, "The tool said: sunny in example");
    const second = await socketed.run(agent("recall"), "My name is Ada.", {
      previousResponseId: first.lastResponseId,
    });
    assert.match(second.finalOutput, /Ada/);
  }, asked);
});

check("calls an MCP server of its own", async () => {
  const server = new MCPServerStdio({
    name: "weather",
    command: PYTHON,
    args: [programBeside("weather_mcp.py")],
  });
  await server.connect();
  try {
    const result = await ask(agent("tool", { mcpServers: [server] }), "Weather?");
    assert.match(result.finalOutput, /sunny in example/);
  } finally {
    await server.close();
  }
});

check("has the server call an MCP server", async () => {
  const weather = hostedMcpTool({ serverLabel: "weather", requireApproval: "never" });
  const result = await ask(agent("tool", { tools: [weather] }), "Weather?", { stream: true });
  for await (const _ of result);
  assert.match(result.finalOutput, /sunny in example/);
});

check("approves the server's MCP calls", async () => {
  const weather = hostedMcpTool({
    serverLabel: "weather",
    requireApproval: "always",
    onApproval: async () => ({ approve: true }),
  });
  const result = await ask(agent("tool", { tools: [weather] }), "Weather?");
  assert.match(result.finalOutput, /sunny in example/);
});

check("runs its shell", async () => {
  const ran = [];
  const shell = {
    run: async ({ commands }) => {
      ran.push(...commands);
      const done = { stdout: "done\n", stderr: "", outcome: { type: "exit", exitCode: 0 } };
      return { output: commands.map(() => done) };
    },
  };
  const result = await ask(agent("tool", { tools: [shellTool({ shell })] }), "List it.");
  assert.ok(ran.length > 0);
  assert.match(result.finalOutput, /done/);
});

check("applies a patch", async () => {
  const operations = [];
  const keep = async (operation) => {
    operations.push(operation);
    return { status: "completed", output: "patched" };
  };
  const editor = { createFile: keep, updateFile: keep, deleteFile: keep };
  const result = await ask(agent("tool", { tools: [applyPatchTool({ editor })] }), "Change it.");
  assert.equal(operations.length, 1);
  assert.equal(typeof operations[0].path, "string");
  assert.match(result.finalOutput, /patched/);
});

check("ends an endless agent", async () => {
  const who = agent("endless-tools", { tools: [getWeather] });
  await assert.rejects(ask(who, "Go.", { maxTurns: 3 }), MaxTurnsExceededError);
});

await run(versionOf("@openai/agents"));
