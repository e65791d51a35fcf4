// An OpenID provider: oidc-provider as it is, with a page that asks for user and password.
//
// Settings:
//   clients    as of OpenID registration: { client_id, client_secret, redirect_uris, grant_types, … }
//   accounts   by user: { claims: { email, email_verified, groups, … }, amr, acr, password, disabled }
//   host       its name in the issuer (127.0.0.1)
//   keys       algorithms of its keys, the first for clients without id_token_signed_response_alg (["RS256"])
//   scopes     which claims a scope gives: { groups: ["groups"] }, beside those of the usual ones
//   conform_id_token_claims   false: the ID token has them all as well (true: only userinfo)
//   require_pkce              true: of all clients (only of those without a secret)
//   consent    true: users are asked whether the client may have what it asks for (false)
//   rotate_refresh_tokens     true: each use of one gives the next (false)
//   hosts      where clients are asked, by host: { "login.example.com": "127.0.0.1:1234" }
//   oidc       anything else of the configuration of oidc-provider
//
// Controls:
//   account { user, … }   changes what is given of an account; `claims` are changed one by one
//   revoke { user }       takes back all that clients were granted for a user
//   sign-out { user }     ends the user's sessions here and tells the clients (back-channel logout)
//   rotate-keys {}        signs with new keys, and publishes no others
//   outage { status }     answers all with this status, until it is null
//   events {}             what happened since it was last asked: [{ event, … }]

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { request as send } from 'node:http';

import Provider from 'oidc-provider';

import { authenticate, control, escape, form, html, loginForm, page, Refused, start } from './server.mjs';

const { settings, server, origin, ready } = await start();
const issuer = origin;
const accounts = settings.accounts ?? {};
let events = [];
let outage = null;

// What the provider stores. It outlives an instance of it, since keys change only with the instance.
const stored = new Map();

class Store {
    constructor(model) {
        this.model = model;
    }

    static matching(model, accepts) {
        return [...stored].filter(([key, it]) => key.startsWith(`${model}:`) && accepts(it)).map(([, it]) => it);
    }

    async upsert(id, payload) {
        stored.set(`${this.model}:${id}`, { ...payload, id });
    }

    async find(id) {
        return stored.get(`${this.model}:${id}`);
    }

    async findByUid(uid) {
        return Store.matching(this.model, (it) => it.uid === uid)[0];
    }

    async findByUserCode() {
        return undefined;
    }

    async consume(id) {
        stored.get(`${this.model}:${id}`).consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
        stored.delete(`${this.model}:${id}`);
    }

    async revokeByGrantId(grantId) {
        for (const [key, it] of stored) if (it.grantId === grantId) stored.delete(key);
    }
}

function newKey(alg) {
    const [kind, options] = alg.startsWith('ES')
        ? ['ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg] }]
        : alg === 'EdDSA' ? ['ed25519', {}] : ['rsa', { modulusLength: 2048 }];
    const key = generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
    return { ...key, alg, use: 'sig', kid: randomUUID() };
}

const algorithms = settings.keys ?? ['RS256'];

function newProvider() {
    const provider = new Provider(issuer, {
        adapter: Store,
        clients: settings.clients ?? [],
        clientDefaults: { id_token_signed_response_alg: algorithms[0] },
        jwks: { keys: algorithms.map(newKey) },
        enabledJWA: { idTokenSigningAlgValues: algorithms, userinfoSigningAlgValues: algorithms },
        claims: {
            openid: ['sub', 'amr', 'acr'],
            email: ['email', 'email_verified'],
            profile: ['name', 'family_name', 'given_name', 'preferred_username'],
            ...settings.scopes,
        },
        conformIdTokenClaims: settings.conform_id_token_claims ?? true,
        features: {
            devInteractions: { enabled: false },
            backchannelLogout: { enabled: true },
            rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
            revocation: { enabled: true },
        },
        // Cookies know no ports: two providers on one address keep theirs apart by the name.
        cookies: {
            keys: ['for tests'],
            names: Object.fromEntries(['session', 'interaction', 'resume'].map((kind) => [kind, `${kind}_${new URL(origin).port}`])),
        },
        interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
        fetch: (url, options) => ask(new URL(url), options),
        findAccount,
        ...(settings.require_pkce ? { pkce: { required: () => true } } : {}),
        loadExistingGrant,
        renderError,
        rotateRefreshToken: settings.rotate_refresh_tokens ?? false,
        // All that is on by default, spelled out so that it does not warn.
        ttl: { AccessToken: 600, IdToken: 86400, Interaction: 600, Session: 86400, Grant: 86400, RefreshToken: 86400 },
        ...settings.oidc,
    });
    const watch = (event, told) => provider.on(event, (...given) => events.push({ event, ...told(...given) }));
    watch('authorization.success', (ctx) => ({ user: ctx.oidc.session.accountId, params: ctx.oidc.params }));
    watch('authorization.error', (_, error) => ({ error: error.message, detail: error.error_detail }));
    watch('grant.success', (ctx) => ({ kind: ctx.oidc.params.grant_type, user: ctx.oidc.entities.Account?.accountId }));
    watch('grant.error', (ctx, error) => ({ kind: ctx.oidc.params?.grant_type, error: error.message, detail: error.error_detail }));
    watch('backchannel.success', (_, client, user, sid) => ({ client: client.clientId, user, sid }));
    watch('backchannel.error', (_, error, client) => ({ client: client.clientId, error: error.message }));
    watch('end_session.success', () => ({}));
    watch('server_error', (_, error) => ({ error: error.stack }));
    return provider;
}

async function findAccount(_, user) {
    const account = Object.hasOwn(accounts, user) ? accounts[user] : undefined;
    if (!account || account.disabled) return undefined;
    return { accountId: user, claims: async () => ({ sub: user, ...account.claims }) };
}

// Without `consent`, all that a client asks for is granted, as an employer's provider does it.
async function loadExistingGrant(ctx) {
    const { session, client, provider, result } = ctx.oidc;
    const id = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
    const existing = id && await provider.Grant.find(id);
    if (settings.consent) return existing;
    const grant = existing ?? new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(ctx.oidc.params.scope ?? 'openid');
    grant.addOIDCClaims([...ctx.oidc.requestParamClaims]);
    await grant.save(86400);
    return grant;
}

// Clients are asked where the test says. oidc-provider itself refuses addresses of the own machine.
function ask(url, options) {
    const address = new URL(`http://${settings.hosts?.[url.hostname] ?? url.host}`);
    const headers = { ...Object.fromEntries(new Headers(options.headers)), host: url.host };
    const { method, signal } = options;
    events.push({ event: 'told', url: url.href, body: options.body && String(options.body) });
    return new Promise((resolve, reject) => {
        const path = url.pathname + url.search;
        const request = send({ host: address.hostname, port: address.port, path, method, headers, signal }, (answer) => {
            answer.resume();
            resolve(new Response(null, { status: answer.statusCode, headers: { location: answer.headers.location ?? '' } }));
        });
        request.on('error', reject);
        request.end(options.body && String(options.body));
    });
}

// === pages ===

async function logoutSource(ctx, logoutForm) {
    ctx.body = html('Sign out?', `${logoutForm}
<p><button form="op.logoutForm" name="logout" value="yes">Sign out</button>
<p><button form="op.logoutForm">Stay signed in</button>`);
}

async function postLogoutSuccessSource(ctx) {
    ctx.body = html('Signed out', '<p>You are signed out here.');
}

async function renderError(ctx, out) {
    ctx.type = 'html';
    ctx.body = html('Refused by the provider', `<p>${escape(out.error)}: ${escape(out.error_description)}`);
}

// Three plain requests, as with the interactions for development: the page, the form, the way back.
async function interaction(request, response) {
    const { uid, prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    const action = `/interaction/${uid}`;
    if (request.method === 'GET') {
        if (prompt.name === 'login') return page(response, 'Sign in', loginForm(action) + cancelForm(action));
        const asked = [...prompt.details.missingOIDCScope ?? [], ...prompt.details.missingOIDCClaims ?? []];
        return page(response, 'Allow it?', `<p>${params.client_id} asks for: ${asked.join(', ')}
<form method="post" action="${action}"><p><button>Allow</button></form>${cancelForm(action)}`);
    }
    const typed = await form(request);
    const finish = (result, mergeWithLastSubmission) =>
        provider.interactionFinished(request, response, result, { mergeWithLastSubmission });
    if (typed.cancel) return finish({ error: 'access_denied', error_description: 'End-User aborted interaction' }, false);
    if (prompt.name === 'login') {
        try {
            const { amr, acr } = authenticate(accounts, typed);
            return await finish({ login: { accountId: typed.login, amr, acr } }, false);
        } catch (error) {
            if (!(error instanceof Refused)) throw error;
            return page(response, 'Sign in', loginForm(action, {}, error.message) + cancelForm(action));
        }
    }
    const existing = grantId && await provider.Grant.find(grantId);
    const grant = existing || new provider.Grant({ clientId: params.client_id, accountId: session.accountId });
    grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
    grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? []);
    return finish({ consent: { grantId: await grant.save(86400) } }, true);
}

const cancelForm = (action) =>
    `<form method="post" action="${action}"><input type="hidden" name="cancel" value="yes"><p><button>Cancel</button></form>`;

// === what tests do ===

const controls = {
    account({ user, claims, ...rest }) {
        accounts[user] = { ...accounts[user], ...rest, claims: { ...accounts[user]?.claims, ...claims } };
    },
    revoke({ user }) {
        for (const model of ['Grant', 'RefreshToken', 'AccessToken', 'AuthorizationCode']) {
            for (const { id } of Store.matching(model, (it) => it.accountId === user)) stored.delete(`${model}:${id}`);
        }
    },
    async 'sign-out'({ user }) {
        const answers = [];
        for (const session of Store.matching('Session', (it) => it.accountId === user)) {
            stored.delete(`Session:${session.id}`);
            for (const [clientId, { sid }] of Object.entries(session.authorizations ?? {})) {
                const client = await provider.Client.find(clientId);
                if (!client.backchannelLogoutUri) continue;
                const sent = client.backchannelLogout(user, sid);
                answers.push(await sent.then(() => ({ client: clientId, sid }), (error) => ({ client: clientId, error: error.message })));
            }
        }
        return answers;
    },
    'rotate-keys'() {
        provider = newProvider();
        callback = provider.callback();
    },
    outage({ status }) {
        outage = status;
    },
    events() {
        const told = events;
        events = [];
        return told;
    },
};

let provider = newProvider();
let callback = provider.callback();

server.on('request', (request, response) => {
    if (request.url.startsWith('/control/')) return control(controls, request, response);
    if (outage) {
        events.push({ event: 'outage', path: request.url });
        return response.writeHead(outage).end('out of order');
    }
    if (request.url.startsWith('/interaction/')) {
        return interaction(request, response).catch((error) => page(response, 'This login is over', String(error), 400));
    }
    return callback(request, response);
});

ready({ issuer });
