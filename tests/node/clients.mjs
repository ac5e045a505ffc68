// Sends events with the client that others use, unchanged: node clients.mjs CLIENT URL SECRET.

import { sign } from "@octokit/webhooks-methods";
import { Analytics } from "@segment/analytics-node";

const [name, url, secret] = process.argv.slice(2);

async function segment() {
  const { origin, pathname } = new URL(url);
  const analytics = new Analytics({
    writeKey: secret,
    host: origin,
    path: `${pathname.replace(/\/$/, "")}/v1/batch`,
  });
  analytics.on("error", (error) => {
    console.error("not delivered", error);
    process.exitCode = 1;
  });
  const timestamp = new Date("2026-11-01T12:00:00Z");
  analytics.identify({ userId: "n1", traits: { plan: "pro" } });
  analytics.track({ userId: "n1", event: "Order Refunded", properties: { total: 2 }, timestamp });
  analytics.page({ anonymousId: "a1", name: "Home" });
  await analytics.closeAndFlush({ timeout: 20_000 });
}

async function octokit() {
  const body = JSON.stringify({ action: "opened", number: 7 });
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-github-event": "pull_request",
      "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
      "x-hub-signature-256": await sign(secret, body),
    },
    body,
  });
  if (answer.status !== 200) {
    throw new Error(`${answer.status}: ${await answer.text()}`);
  }
}

await { segment, octokit }[name]();
