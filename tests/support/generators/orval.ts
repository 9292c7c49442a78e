// Use a client that orval made for fetch, and its zod schemas: URL KEY.
import { createCheckoutSession, getCheckoutSession, getCustomer, listCheckoutSessions } from "./made/fetch";
import type { SessionCreate } from "./made/fetch";
import { CreateCheckoutSessionBody, GetCheckoutSessionResponse } from "./made/zod";

const [baseUrl, key] = process.argv.slice(2);
const send = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const path = String(input).replace(/^https?:\/\/[^/]+/, "");
  return send(baseUrl + path, { ...init, headers: { ...(init?.headers as object), Authorization: `Bearer ${key}` } });
};

async function main(): Promise<void> {
  const body: SessionCreate = {
    amount: { value: "10.00", currency: "USD" },
    metadata: { größe: "Überraschung ☕" },
    successUrl: "https://münchen.example/h",
    customerEmail: "ada@example.com",
  };
  CreateCheckoutSessionBody.parse(body);
  const made = await createCheckoutSession(body, { headers: { "Idempotency-Key": "orval-1" } });
  if (made.status !== 201) throw new Error(made.data.error.code);
  const shown = await getCheckoutSession(made.data.id);
  if (shown.status !== 200) throw new Error("no session");
  GetCheckoutSessionResponse.parse(shown.data);
  const list = await listCheckoutSessions({ limit: 5 });
  if (list.status !== 200) throw new Error("no list");
  const refused = await getCustomer("cus_1");
  console.log(
    JSON.stringify({
      id: shown.data.id,
      status: shown.data.status,
      text: shown.data.metadata?.["größe"],
      url: shown.data.successUrl,
      listed: list.data.data.map((each) => each.id),
      code: refused.status === 404 ? refused.data.error.code : undefined,
    }),
  );
}

void main();
