// Use a client that hey-api made, and its zod schemas: URL KEY.
import { createCheckoutSession, getCheckoutSession, getCustomer, listCheckoutSessions } from "./made";
import { client } from "./made/client.gen";
import type { SessionCreate } from "./made";
import { zSession, zSessionCreate } from "./made/zod.gen";

const [baseUrl, key] = process.argv.slice(2);
client.setConfig({ baseUrl, auth: key });

async function main(): Promise<void> {
  const body: SessionCreate = {
    amount: { value: "10.00", currency: "USD" },
    metadata: { größe: "Überraschung ☕" },
    successUrl: "https://münchen.example/h",
    customerEmail: "ada@example.com",
  };
  zSessionCreate.parse(body);
  const made = await createCheckoutSession({ body, headers: { "Idempotency-Key": "hey-api-1" }, throwOnError: true });
  const shown = (await getCheckoutSession({ path: { id: made.data.id }, throwOnError: true })).data;
  zSession.parse(shown);
  const list = await listCheckoutSessions({ query: { limit: 5 }, throwOnError: true });
  const refused = await getCustomer({ path: { id: "cus_1" } });
  console.log(
    JSON.stringify({
      id: shown.id,
      status: shown.status,
      text: shown.metadata?.["größe"],
      url: shown.successUrl,
      listed: list.data.data.map((each) => each.id),
      code: refused.error?.error.code,
    }),
  );
}

void main();
