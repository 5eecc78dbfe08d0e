// Ask a running xray-serve about a bag, with OpenAI's own client (npm install openai).
//
// Start .venv/bin/xray-serve, then (OPENAI_BASE_URL and OPENAI_API_KEY name another server and its key):
//
//     node examples/openai_chat.mjs examples/scans/bag_1.png "Where is the gun?"

import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [scan, question] = process.argv.slice(2);
const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "none",
});
const content = [{ type: "image_url", image_url: { url: "data:image/png;base64," + readFileSync(scan, "base64") } }];
if (question) content.push({ type: "text", text: question });

try {
  const answer = await client.chat.completions.create({ model: "xray-screener", messages: [{ role: "user", content }] });
  console.log(answer.choices[0].message.content);
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  console.error(`${error.constructor.name}: ${error.message}`);
  process.exitCode = 1;
}
