// The official Node client: a question, a stream, a second turn.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8484/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "any",
});
const model = process.env.MODEL ?? "demo-antiphon";

const stream = client.responses.stream({ model, input: "Hello, my name is Ada." });
stream.on("response.output_text.delta", (event) => process.stdout.write(event.delta));
const first = await stream.finalResponse();
console.log();

const second = await client.responses.create({
  model,
  previous_response_id: first.id,
  input: "What is my name?",
});
console.log(second.output_text);
