#!/usr/bin/env bash
# oidc-provider 9.13.3 on Node.js 20: a client whose `backchannel_logout_uri` is on the machine itself or
# in a private network (127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, …) is never told of a logout. The
# connection is closed before a request is sent, the user sees a logout that succeeded, nothing is logged, and
# the only trace is the event `backchannel.error`, which says "fetch failed"; the reason is in its `cause`. A
# provider inside a network that tells clients there needs a `fetch` of its own in the configuration, which
# decides itself whom it asks and leaves out `dispatcher`.
#
# Seen on 2026-11-28:
#   as configured by default: backchannel.error, fetch failed: hostname resolves to a special-use IP address
#   the client received 0 requests
#   with `fetch` without `dispatcher`: backchannel.success
#   the client received 1 requests
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >package.json <<'JSON'
{ "private": true, "type": "module", "dependencies": { "oidc-provider": "9.13.3" } }
JSON
npm install --ignore-scripts --no-audit --no-fund --silent
cat >logout.js <<'JS'
import { createServer } from 'node:http';
import { once } from 'node:events';
import Provider from 'oidc-provider';

const listen = async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${server.address().port}`;
};

let received = 0;
const client = createServer((request, response) => {
    received += 1;
    request.resume().on('end', () => response.end());
});
const clientAt = await listen(client);

async function logOut(name, more) {
    const server = createServer();
    const issuer = await listen(server);
    const provider = new Provider(issuer, {
        clients: [{
            client_id: 'app',
            client_secret: 'secret',
            redirect_uris: [`${clientAt}/callback`],
            backchannel_logout_uri: `${clientAt}/logout`,
        }],
        features: {
            backchannelLogout: { enabled: true },
            rpInitiatedLogout: { enabled: true, logoutSource: async (ctx, form) => { ctx.body = form; } },
        },
        ...more,
    });
    server.on('request', provider.callback());
    let outcome = 'nothing';
    provider.on('backchannel.success', () => { outcome = 'backchannel.success'; });
    provider.on('backchannel.error', (_, error) => {
        outcome = `backchannel.error, ${error.message}: ${error.cause?.message}`;
    });

    // A browser that logs in and out, by the pages that oidc-provider has for development.
    const cookies = {};
    async function go(url, form) {
        for (;;) {
            const answer = await fetch(url, {
                redirect: 'manual',
                method: form ? 'POST' : 'GET',
                body: form && new URLSearchParams(form),
                headers: { cookie: Object.entries(cookies).map(([name, value]) => `${name}=${value}`).join('; ') },
            });
            for (const line of answer.headers.getSetCookie()) {
                const [, cookie, value] = line.match(/^([^=]+)=([^;]*)/);
                cookies[cookie] = value;
            }
            const location = answer.headers.get('location');
            if (!location || location.startsWith(clientAt)) return { url, text: await answer.text() };
            url = new URL(location, url).href;
            form = undefined;
        }
    }
    const redirect = encodeURIComponent(`${clientAt}/callback`);
    let page = await go(`${issuer}/auth?client_id=app&response_type=code&scope=openid&redirect_uri=${redirect}`);
    page = await go(page.url, { prompt: 'login', login: 'ada', password: 'any' });
    await go(page.url, { prompt: 'consent' });
    page = await go(`${issuer}/session/end`);
    const xsrf = page.text.match(/name="xsrf" value="(\w+)"/)[1];
    await go(`${issuer}/session/end/confirm`, { xsrf, logout: 'yes' });
    console.log(`${name}: ${outcome}`);
    console.log(`the client received ${received} requests`);
    server.close();
    server.closeAllConnections();
}

await logOut('as configured by default', {});
await logOut('with `fetch` without `dispatcher`', { fetch: (url, { dispatcher, ...options }) => fetch(url, options) });
client.close();
client.closeAllConnections();
JS
seen="$(node logout.js 2>warnings | grep -v NOTICE)"
printf '%s\n' "$seen"
diff <(printf '%s\n' "$seen") - <<'EXPECTED'
as configured by default: backchannel.error, fetch failed: hostname resolves to a special-use IP address
the client received 0 requests
with `fetch` without `dispatcher`: backchannel.success
the client received 1 requests
EXPECTED
echo "as described"
