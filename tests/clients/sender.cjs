// One client for Node, unmodified: `node sender.cjs segment|rudderstack|cloudevents <url>`. It is told what to send by
// lines of JSON; after the last one it waits for what is under way and prints how many were sent and what failed.
"use strict";

const { createInterface } = require("node:readline");

const KEY = "sk_1:secret";
const PATIENCE = 230_000;
const RETRIES = 12;

const [, , name, url] = process.argv;
const failed = [];
let sent = 0;
let underWay = 0;

const done = (error) => {
    underWay -= 1;
    if (error) failed.push(String(error.message ?? error));
};

const clients = {
    segment() {
        const { Analytics } = require("@segment/analytics-node");
        const client = new Analytics({ writeKey: KEY, host: url, flushInterval: 100, maxRetries: RETRIES });
        client.on("error", (error) => failed.push(String(error.reason ?? error.code)));
        return {
            send: ({ call, ...message }) => client[call](message, done),
            close: () => client.closeAndFlush({ timeout: PATIENCE }),
        };
    },

    rudderstack() {
        const Analytics = require("@rudderstack/rudder-sdk-node");
        const options = { dataPlaneUrl: url, flushInterval: 100, retryCount: RETRIES, logLevel: "error" };
        const client = new (Analytics.default ?? Analytics)(KEY, options);
        return { send: ({ call, ...message }) => client[call](message, done), close: () => {} };
    },

    // The package makes messages and leaves sending to its user, who asks again as the service wants it.
    cloudevents() {
        const { CloudEvent, HTTP } = require("cloudevents");
        const deliver = async ({ mode, ...event }) => {
            const { headers, body } = HTTP[mode](new CloudEvent(event));
            for (;;) {
                const answer = await fetch(`${url}/v1/signals`, {
                    method: "POST",
                    headers: { ...headers, "X-Api-Key": KEY },
                    body,
                }).catch(() => undefined);
                if (answer?.status === 200 && (await answer.json()).results.every(({ status }) => status === 200)) return;
                if (answer && answer.status !== 503) throw new Error(`answered with ${answer.status}`);
                const seconds = Number(answer?.headers.get("Retry-After") ?? 1);
                await new Promise((resume) => setTimeout(resume, seconds * 1000));
            }
        };
        return { send: (event) => deliver(event).then(() => done(), done), close: () => {} };
    },
};

const client = clients[name]();
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
    sent += 1;
    underWay += 1;
    client.send(JSON.parse(line));
});
lines.on("close", async () => {
    const end = Date.now() + PATIENCE;
    await client.close();
    while (underWay > 0 && Date.now() < end) await new Promise((resume) => setTimeout(resume, 20));
    console.log(JSON.stringify({ sent, underWay, failed }));
    process.exit(0);
});
