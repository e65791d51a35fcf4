// What both providers have in common: how a test starts, drives and ends them, and their login page.
//
// The first line of the standard input has the settings as JSON. The first line of the standard output says
// as JSON where the provider is. It ends with its standard input, so never later than the test.
//
// `POST /control/NAME` with JSON is for the test, not for browsers or the proxy.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

// Gives the settings, a server that listens at `origin`, and what announces that it is ready.
export async function start() {
    const lines = createInterface({ input: process.stdin });
    const [line] = await once(lines, 'line');
    lines.on('close', () => process.exit());
    const settings = JSON.parse(line);
    const server = createServer();
    server.listen(settings.port ?? 0, '127.0.0.1');
    await once(server, 'listening');
    // `localhost` is another site than the address, for browsers.
    const origin = `http://${settings.host ?? '127.0.0.1'}:${server.address().port}`;
    const ready = (more) => process.stdout.write(`${JSON.stringify({ origin, ...more })}\n`);
    return { settings, server, origin, ready };
}

// Answers with what one of the controls says, an object of functions. A failure is the test's.
export async function control(controls, request, response) {
    const name = new URL(request.url, 'http://localhost').pathname.slice('/control/'.length);
    try {
        const text = await body(request);
        const answer = await controls[name](text ? JSON.parse(text) : {});
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(answer ?? {}));
    } catch (error) {
        response.statusCode = 500;
        response.end(`${name}: ${error.stack}`);
    }
}

export async function body(request) {
    let text = '';
    for await (const part of request.setEncoding('utf8')) text += part;
    return text;
}

export async function form(request) {
    return Object.fromEntries(new URLSearchParams(await body(request)));
}

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escape = (text) => String(text).replace(/[&<>"']/g, (character) => escapes[character]);

export function page(response, title, content, status = 200) {
    response.statusCode = status;
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('cache-control', 'no-store');
    response.end(html(title, content));
}

export function html(title, content) {
    return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
<main>
<h1>${escape(title)}</h1>
${content}
</main>
</html>
`;
}

// A form that asks who it is. The hidden fields come back with it.
export function loginForm(action, hidden = {}, complaint = '') {
    const fields = Object.entries(hidden)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`);
    return `${complaint && `<p role="alert">${escape(complaint)}</p>`}
<form method="post" action="${escape(action)}">
${fields.join('\n')}
<p><label>User <input name="login" autocomplete="username" required></label>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<p><button>Sign in</button>
</form>`;
}

// Who typed that: their account is what the test says, `{ password, disabled, … }` under the user's name.
export function authenticate(accounts, { login, password }) {
    const account = Object.hasOwn(accounts, login) ? accounts[login] : undefined;
    if (!account || password !== (account.password ?? 'secret')) throw new Refused('Wrong user or password.');
    if (account.disabled) throw new Refused('This account is disabled.');
    return account;
}

export class Refused extends Error {}
