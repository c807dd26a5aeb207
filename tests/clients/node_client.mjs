// Drives tiktok-live-connector: one JSON case a line on stdin, one JSON result a line on stdout.
// The cases and results are those of python_client.py.
//
// Run by hand: `install` has put the library under .cache/node, so
//   echo '{"do": "connect", "gateway": "http://127.0.0.1:8080", "room": "7300000000000000001"}' | node node_client.mjs

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The library lies in .cache/node/node_modules, which is not on this file's own path of look-up.
const library = createRequire(new URL(".cache/node/package.json", import.meta.url));
const { RouteConfig, SignConfig, TikTokLiveConnection } = await import(
    pathToFileURL(library.resolve("tiktok-live-connector"))
);
const { version } = library("tiktok-live-connector/package.json");

// Longer than anything here takes; a client that waits for this has failed.
const PATIENCE_MS = 20_000;

function makeConnection(gateway, key) {
    // These two are all that a user of the library has to set, before the first connection is made. The library keeps
    // the first address and key for the life of the process, so the tests give each case a process of its own.
    SignConfig.basePath = gateway;
    SignConfig.apiKey = key ?? undefined;
    return new TikTokLiveConnection("a_broadcaster", { fetchRoomInfoOnConnect: false });
}

async function connect({ gateway, key, room }, result) {
    const connection = makeConnection(gateway, key);
    let onLive;
    const live = new Promise((resolve) => (onLive = resolve));
    connection.on("connected", () => (result.connected = true));
    connection.on("chat", ({ content }) => {
        if (content.startsWith("said before")) result.history += 1;
        else onLive(content);
    });
    let timer;
    const tooLate = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE_MS, null)));
    try {
        await connection.connect(String(room));
        result.comment = await Promise.race([live, tooLate]);
    } finally {
        clearTimeout(timer);
        await connection.disconnect();
    }
}

async function sign({ gateway, key, url }, result) {
    const { webClient, apiClient } = makeConnection(gateway, key);
    const userAgent = webClient.clientHeaders["User-Agent"];
    const signed = await RouteConfig.fetchWebcastSignatureFromProvider({
        url,
        method: "GET",
        userAgent,
        webClient,
        apiClient,
    });
    result.answer = signed.response;
}

async function limits({ gateway, key }, result) {
    const answer = await makeConnection(gateway, key).apiClient.accounts.getRateLimits();
    if (answer.status !== 200) throw new Error(`${answer.status}: ${JSON.stringify(answer.data)}`);
    result.answer = answer.data;
}

function describe(error) {
    return {
        class: error.constructor.name,
        text: error.message,
        // In milliseconds both; the result is in seconds, as Python's.
        retry_after: error.retryAfter === undefined ? null : error.retryAfter / 1000,
        reset: error.resetTime === undefined ? null : error.resetTime / 1000,
        request_id: error.requestId ?? null,
    };
}

const steps = { connect, sign, limits };
console.log(JSON.stringify({ library: `tiktok-live-connector ${version}` }));
for await (const line of createInterface({ input: process.stdin })) {
    const { do: step, ...given } = JSON.parse(line);
    const result = { connected: false, comment: null, history: 0, answer: null, error: null };
    try {
        await steps[step](given, result);
    } catch (error) {
        result.error = describe(error);
    }
    console.log(JSON.stringify(result));
}
