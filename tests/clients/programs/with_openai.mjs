// The official Node client.

import assert from "node:assert/strict";

import OpenAI, { AzureOpenAI } from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { ResponsesWS } from "openai/resources/responses/ws";
import { VERSION } from "openai/version";
import { z } from "zod";

import { KEY, ROOT, URL_, check, receiver, run } from "./checking.mjs";

const client = new OpenAI({ baseURL: URL_, apiKey: KEY, maxRetries: 0 });

const getWeather = {
  type: "function",
  name: "get_weather",
  description: "Get the current weather of a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

function assertComplete(events) {
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, n) => n),
  );
  assert.equal(events[0].type, "response.created");
  const ids = new Set(events.filter((e) => e.response).map((e) => e.response.id));
  assert.equal(ids.size, 1);
}

check("creates", async () => {
  const made = await client.responses.create({ model: "scripted/echo", input: "Say this back." });
  assert.equal(made.output_text, "Say this back.");
  assert.equal(made.status, "completed");
  assert.ok(made.usage.total_tokens > 0);
  assert.ok(made._request_id);
});

check("streams", async () => {
  const stream = await client.responses.create({
    model: "scripted/echo",
    input: "One two three.",
    stream: true,
  });
  const events = await collect(stream);
  assertComplete(events);
  const text = events
    .filter((event) => event.type === "response.output_text.delta")
    .map((event) => event.delta)
    .join("");
  assert.equal(text, "One two three.");
  assert.equal(events.at(-1).type, "response.completed");
  assert.equal(events.at(-1).response.output[0].content[0].text, text);
});

check("streams with responses.stream", async () => {
  const snapshots = [];
  const stream = client.responses
    .stream({ model: "scripted/reasoning", input: "Think about it." })
    .on("response.output_text.delta", (event) => snapshots.push(event.snapshot));
  const thoughts = [];
  for await (const event of stream) {
    if (event.type === "response.reasoning_text.delta") thoughts.push(event.delta);
  }
  const final = await stream.finalResponse();
  assert.equal(final.output_text, "Think about it.");
  assert.equal(snapshots.at(-1), "Think about it.");
  assert.ok(thoughts.join("").includes("repeat it"));
  assert.equal(final.output[0].content[0].text, thoughts.join(""));
});

check("leaves a stream", async () => {
  const stream = await client.responses.create({
    model: "scripted/endless",
    input: "Go on.",
    stream: true,
  });
  let id;
  for await (const event of stream) {
    id ??= event.response?.id;
    if (event.sequence_number > 6) break;
  }
  const until = Date.now() + 5000;
  for (;;) {
    const kept = await client.responses.retrieve(id).catch((error) => error);
    if (kept.status === "cancelled") return;
    assert.ok(Date.now() < until, `still ${kept.status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

check("parses with zod", async () => {
  const Event = z.object({
    name: z.string(),
    day: z.enum(["Monday", "Friday"]),
    guests: z.array(z.string()),
  });
  const made = await client.responses.parse({
    model: "scripted/json",
    input: "Ada and Grace meet on Monday.",
    text: { format: zodTextFormat(Event, "event") },
  });
  assert.equal(made.output_parsed.day, "Monday");
  assert.ok(Array.isArray(made.output_parsed.guests));
});

check("parses while streaming", async () => {
  const Answer = z.object({ answer: z.string(), certain: z.boolean() });
  const stream = client.responses.stream({
    model: "scripted/bad-json",
    input: "Is it so?",
    text: { format: zodTextFormat(Answer, "answer") },
  });
  const final = await stream.finalResponse();
  assert.equal(typeof final.output_parsed.certain, "boolean");
});

check("calls functions", async () => {
  const tool = zodResponsesFunction({
    name: "get_weather",
    parameters: z.object({ city: z.string() }),
  });
  const first = await client.responses.parse({
    model: "scripted/tool",
    input: "Weather?",
    tools: [tool],
  });
  const call = first.output.find((item) => item.type === "function_call");
  assert.equal(typeof call.parsed_arguments.city, "string");
  const second = await client.responses.create({
    model: "scripted/tool",
    previous_response_id: first.id,
    input: [{ type: "function_call_output", call_id: call.call_id, output: "sunny" }],
    tools: [tool],
  });
  assert.equal(second.output_text, "The tool said: sunny");
});

check("calls functions in parallel, statelessly", async () => {
  const history = [{ role: "user", content: "Weather in two cities?" }];
  const asked = { model: "scripted/tools-parallel", tools: [getWeather], store: false };
  const first = await client.responses.create({ ...asked, input: history });
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.equal(calls.length, 2);
  history.push(...first.output);
  for (const [n, call] of calls.entries()) {
    history.push({ type: "function_call_output", call_id: call.call_id, output: `day ${n}` });
  }
  const second = await client.responses.create({ ...asked, input: history });
  assert.equal(second.output_text, "The tool said: day 0; day 1");
});

check("streams a function's arguments", async () => {
  const stream = client.responses.stream({
    model: "scripted/tool",
    input: "Weather?",
    tools: [getWeather],
  });
  let snapshot = "";
  stream.on("response.function_call_arguments.delta", (event) => (snapshot = event.snapshot));
  const final = await stream.finalResponse();
  assert.equal(final.output[0].arguments, snapshot);
  assert.equal(typeof JSON.parse(snapshot).city, "string");
});

check("calls a custom tool", async () => {
  const asked = { model: "scripted/custom", tools: [{ type: "custom", name: "note" }] };
  const stream = client.responses.stream({ ...asked, input: "Remember the milk." });
  const first = await stream.finalResponse();
  assert.equal(first.output[0].type, "custom_tool_call");
  assert.equal(first.output[0].input, "Remember the milk.");
  const second = await client.responses.create({
    ...asked,
    previous_response_id: first.id,
    input: [{ type: "custom_tool_call_output", call_id: first.output[0].call_id, output: "noted" }],
  });
  assert.equal(second.output_text, "The tool said: noted");
});

// Tools with items of their own: the call, as it is streamed, and what the program answers to it.
// (`responses.stream` of this version raises at the events of a shell's commands.)
const NATIVE = {
  shell: {
    tool: { type: "shell", environment: { type: "local" } },
    call: "shell_call",
    judge: (call) => assert.ok(Array.isArray(call.action.commands)),
    answer: (call) => ({
      type: "shell_call_output",
      call_id: call.call_id,
      output: [{ stdout: "done", stderr: "", outcome: { type: "exit", exit_code: 0 } }],
    }),
  },
  "local shell": {
    tool: { type: "local_shell" },
    call: "local_shell_call",
    judge: (call) => assert.ok(Array.isArray(call.action.command)),
    answer: (call) => ({ type: "local_shell_call_output", id: call.call_id, output: "done" }),
  },
  patch: {
    tool: { type: "apply_patch" },
    call: "apply_patch_call",
    judge: (call) => assert.equal(typeof call.operation.path, "string"),
    answer: (call) => ({
      type: "apply_patch_call_output",
      call_id: call.call_id,
      status: "completed",
      output: "done",
    }),
  },
  namespace: {
    tool: {
      type: "namespace",
      name: "weather",
      description: "About the weather.",
      tools: [getWeather],
    },
    call: "function_call",
    judge: (call) => assert.deepEqual([call.namespace, call.name], ["weather", "get_weather"]),
    answer: (call) => ({ type: "function_call_output", call_id: call.call_id, output: "done" }),
  },
};

for (const [name, { tool, call, judge, answer }] of Object.entries(NATIVE)) {
  check(`runs its ${name} tool`, async () => {
    const asked = { model: "scripted/tool", tools: [tool] };
    const stream = await client.responses.create({ ...asked, input: "Do it.", stream: true });
    const events = await collect(stream);
    assertComplete(events);
    const first = events.at(-1).response;
    const done = events.find((event) => event.type === "response.output_item.done");
    assert.deepEqual(done.item, first.output[0]);
    assert.equal(first.output[0].type, call);
    judge(first.output[0]);
    const chained = await client.responses.create({
      ...asked,
      previous_response_id: first.id,
      input: [answer(first.output[0])],
    });
    assert.match(chained.output_text, /done/);
    const history = [{ role: "user", content: "Do it." }, ...first.output, answer(first.output[0])];
    const stateless = await client.responses.create({ ...asked, input: history, store: false });
    assert.match(stateless.output_text, /done/);
  });
}

check("drives a computer", async () => {
  const asked = { model: "scripted/tool", tools: [{ type: "computer" }] };
  const first = await client.responses.create({ ...asked, input: "Look at the page." });
  const call = first.output[0];
  assert.equal(call.type, "computer_call");
  assert.ok(call.actions?.length ?? call.action);
  const image_url = "data:image/png;base64,iVBORw0KGgo=";
  const seen = await client.responses.create({
    model: "scripted/vision",
    tools: asked.tools,
    previous_response_id: first.id,
    input: [
      {
        type: "computer_call_output",
        call_id: call.call_id,
        output: { type: "computer_screenshot", image_url },
        acknowledged_safety_checks: call.pending_safety_checks,
      },
    ],
  });
  assert.equal(seen.output_text, "I see 1 image(s).");
});

const mcp = { type: "mcp", server_label: "weather" };

check("has the server call an MCP server", async () => {
  const stream = client.responses.stream({
    model: "scripted/tool",
    tools: [{ ...mcp, require_approval: "never" }],
    input: "Weather?",
  });
  const final = await stream.finalResponse();
  const [listed, call, message] = final.output;
  assert.deepEqual(
    [listed.type, call.type, message.type],
    ["mcp_list_tools", "mcp_call", "message"],
  );
  assert.equal(listed.tools[0].name, "get_weather");
  assert.match(call.output, /sunny in example/);
  assert.match(final.output_text, /sunny in example/);
});

check("approves an MCP call", async () => {
  const asked = { model: "scripted/tool", tools: [{ ...mcp, require_approval: "always" }] };
  const first = await client.responses.create({ ...asked, input: "Weather?" });
  const request = first.output.at(-1);
  assert.equal(request.type, "mcp_approval_request");
  const answer = { type: "mcp_approval_response", approval_request_id: request.id };
  const second = await client.responses.create({
    ...asked,
    previous_response_id: first.id,
    input: [{ ...answer, approve: true }],
  });
  const call = second.output.find((item) => item.type === "mcp_call");
  assert.equal(call.arguments, request.arguments);
  assert.equal(call.approval_request_id, request.id);
  assert.match(second.output_text, /sunny in example/);
  const refused = await client.responses.create({
    ...asked,
    previous_response_id: first.id,
    input: [{ ...answer, approve: false, reason: "Not now." }],
  });
  assert.ok(!refused.output.some((item) => item.type === "mcp_call"));
});

check("retrieves, lists input items, deletes", async () => {
  const first = await client.responses.create({
    model: "scripted/recall",
    input: "My name is Ada.",
  });
  const second = await client.responses.create({
    model: "scripted/recall",
    previous_response_id: first.id,
    input: "Who am I?",
  });
  assert.equal(second.output_text, "Your name is Ada.");
  const kept = await client.responses.retrieve(second.id);
  assert.deepEqual(kept.output, second.output);
  const items = [];
  for await (const item of client.responses.inputItems.list(second.id, {
    limit: 1,
    order: "asc",
  })) {
    items.push(item);
  }
  assert.ok(items.some((item) => item.content?.[0]?.text === "My name is Ada."));
  assert.equal(items.at(-1).content[0].text, "Who am I?");
  await client.responses.delete(second.id);
  await assert.rejects(client.responses.retrieve(second.id), OpenAI.NotFoundError);
});

check("replays a stored response", async () => {
  const made = await client.responses.create({
    model: "scripted/hello",
    input: "Hi",
    background: true,
  });
  const stream = client.responses.stream({ response_id: made.id });
  const final = await stream.finalResponse();
  assert.equal(final.output_text, "Hello! How can I help you today?");
});

check("resumes with starting_after", async () => {
  const seen = [];
  const stream = await client.responses.create({
    model: "scripted/slow-20ms",
    input: "Count.",
    background: true,
    stream: true,
  });
  for await (const event of stream) {
    seen.push(event);
    if (event.sequence_number === 5) break;
  }
  const rest = await client.responses.retrieve(seen[0].response.id, {
    stream: true,
    starting_after: 5,
  });
  seen.push(...(await collect(rest)));
  assertComplete(seen);
  assert.equal(seen.at(-1).type, "response.completed");
});

check("polls a background response", async () => {
  let job = await client.responses.create({
    model: "scripted/slow-10ms",
    input: "Count.",
    background: true,
  });
  assert.ok(["queued", "in_progress"].includes(job.status));
  while (job.status === "queued" || job.status === "in_progress") {
    await new Promise((resolve) => setTimeout(resolve, 50));
    job = await client.responses.retrieve(job.id);
  }
  assert.equal(job.status, "completed");
  assert.ok(job.output_text.endsWith("nine ten"));
});

check("cancels", async () => {
  const job = await client.responses.create({
    model: "scripted/endless",
    input: "Go on.",
    background: true,
  });
  const cancelled = await client.responses.cancel(job.id);
  assert.equal(cancelled.status, "cancelled");
  assert.equal((await client.responses.cancel(job.id)).status, "cancelled");
});

check("keeps conversations", async () => {
  const conversation = await client.conversations.create({
    metadata: { topic: "names" },
    items: [{ type: "message", role: "user", content: "My name is Grace." }],
  });
  const made = await client.responses.create({
    model: "scripted/recall",
    conversation: conversation.id,
    input: "Who am I?",
  });
  assert.equal(made.output_text, "Your name is Grace.");
  const texts = [];
  for await (const item of client.conversations.items.list(conversation.id, {
    order: "asc",
    limit: 2,
  })) {
    texts.push(item.content[0].text);
  }
  assert.deepEqual(texts, ["My name is Grace.", "Who am I?", "Your name is Grace."]);
  const changed = await client.conversations.update(conversation.id, { metadata: { topic: "x" } });
  assert.equal(changed.metadata.topic, "x");
  assert.equal((await client.conversations.delete(conversation.id)).deleted, true);
});

check("counts input tokens, compacts", async () => {
  const counted = await client.responses.inputTokens.count({
    model: "scripted/echo",
    input: "One two.",
  });
  assert.ok(counted.input_tokens > 0);
  const compacted = await client.responses.compact({
    model: "scripted/summary",
    input: [{ role: "user", content: "My name is Ada." }],
  });
  assert.equal(compacted.object, "response.compaction");
  const next = await client.responses.create({
    model: "scripted/echo",
    input: [...compacted.output, { role: "user", content: "Go on." }],
  });
  assert.equal(next.output_text, "Go on.");
});

check("raises typed errors", async () => {
  const absent = client.responses.create({
    model: "scripted/echo",
    input: "Hi",
    previous_response_id: "resp_0123456789abcdef0123456789abcdef01",
  });
  await assert.rejects(absent, (error) => {
    assert.ok(error instanceof OpenAI.APIError);
    assert.equal(error.code, "previous_response_not_found");
    assert.equal(error.param, "previous_response_id");
    return true;
  });
  const limited = client.responses.create({ model: "scripted/error-429", input: "Hi" });
  await assert.rejects(limited, OpenAI.RateLimitError);
  const foreign = new OpenAI({ baseURL: URL_, apiKey: "sk-wrong", maxRetries: 0 });
  await assert.rejects(foreign.models.list(), OpenAI.AuthenticationError);
});

check("raises when a stream fails", async () => {
  const stream = client.responses.stream({ model: "scripted/error-after-3", input: "Hi" });
  const types = [];
  stream.on("event", (event) => types.push(event.type));
  const final = await stream.finalResponse();
  assert.equal(final.status, "failed");
  assert.equal(final.error.code, "server_error");
  assert.equal(types.at(-1), "response.failed");
});

check("retries by itself", async () => {
  const patient = new OpenAI({ baseURL: URL_, apiKey: KEY, maxRetries: 2 });
  const made = await patient.responses.create({
    model: "scripted/flaky-1",
    input: `Only here: ${Math.random()}`,
  });
  assert.equal(made.status, "completed");
});

check("Azure client", async () => {
  // It takes these up by itself, and refuses an endpoint or a token beside them.
  delete process.env.OPENAI_BASE_URL;
  delete process.env.AZURE_OPENAI_API_KEY;
  const azure = new AzureOpenAI({ endpoint: ROOT, apiKey: KEY, apiVersion: "2025-03-01-preview" });
  const made = await azure.responses.create({ model: "my-deployment", input: "From Azure." });
  assert.equal(made.output_text, "From Azure.");
  assert.equal((await azure.responses.retrieve(made.id)).id, made.id);
  const stream = azure.responses.stream({ model: "my-deployment", input: "One two." });
  assert.equal((await stream.finalResponse()).output_text, "One two.");
  const token = new AzureOpenAI({
    endpoint: ROOT,
    azureADTokenProvider: async () => KEY,
    apiVersion: "2025-04-01-preview",
  });
  assert.equal(
    (await token.responses.create({ model: "my-deployment", input: "Hi." })).output_text,
    "Hi.",
  );
});

check("verifies a webhook", async () => {
  const hooks = await receiver();
  const endpoint = await client.post("/webhook_endpoints", {
    body: { name: "node", url: hooks.url, event_types: ["response.completed"] },
  });
  try {
    const job = await client.responses.create({
      model: "scripted/hello",
      input: "Hi",
      background: true,
    });
    const { body, headers } = await hooks.next();
    const event = await client.webhooks.unwrap(body, headers, endpoint.signing_secret);
    assert.equal(event.type, "response.completed");
    assert.equal(event.data.id, job.id);
    await assert.rejects(
      client.webhooks.unwrap(`${body} `, headers, endpoint.signing_secret),
      OpenAI.InvalidWebhookSignatureError,
    );
  } finally {
    await client.delete(`/webhook_endpoints/${endpoint.id}`);
    hooks.close();
  }
});

check("talks over a WebSocket", async () => {
  const socket = new ResponsesWS(client);
  const reading = socket.stream();
  const answer = async () => {
    for (;;) {
      const { value, done } = await reading.next();
      assert.ok(!done, "the socket closed");
      if (value.type === "error") throw value.error;
      if (value.type === "message" && value.message.type === "response.completed") {
        return value.message.response;
      }
    }
  };
  try {
    const asked = { type: "response.create", model: "scripted/recall", store: false };
    socket.send({ ...asked, input: "My name is Ada." });
    const first = await answer();
    socket.send({ ...asked, input: "Who am I?", previous_response_id: first.id });
    const second = await answer();
    assert.equal(second.output[0].content[0].text, "Your name is Ada.");
    socket.send({ ...asked, input: [], generate: false });
    assert.deepEqual((await answer()).output, []);
  } finally {
    socket.close();
  }
});

check("hears a WebSocket's errors", async () => {
  const socket = new ResponsesWS(client);
  try {
    const failed = new Promise((resolve) => socket.on("error", resolve));
    socket.send({
      type: "response.create",
      model: "scripted/echo",
      input: "Hi",
      previous_response_id: "resp_0123456789abcdef0123456789abcdef01",
    });
    const error = await failed;
    assert.match(JSON.stringify(error.error ?? error.message), /previous_response_not_found/);
  } finally {
    socket.close();
  }
});

check("chat completions", async () => {
  const made = await client.chat.completions.create({
    model: "scripted/echo",
    messages: [{ role: "user", content: "Say this back." }],
  });
  assert.equal(made.choices[0].message.content, "Say this back.");
});

await run(VERSION);
