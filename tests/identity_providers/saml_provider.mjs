// A SAML identity provider: samlp as it is, with a page that asks for user and password.
//
// Settings:
//   accounts   by user: { name_id, attributes: { "…/claims/emailaddress": "…", groups: […] }, password, disabled };
//              the name id is the user, unless it is given
//   issuer     the entity id ("https://saml.example.net/metadata")
//   sign       what is signed: "assertion" (which is samlp's default), "response", "both", "nothing"
//   options    any other options of samlp: audience, destination, recipient, lifetimeInSeconds, sessionIndex, …
//
// `/sso` takes an AuthnRequest by redirect or form. `/start?acs=…&audience=…` logs in without being asked (called
// unsolicited, or begun by the provider). `/metadata` has the metadata.
//
// Controls:
//   account { user, … }       changes what is given of an account; `attributes` are changed one by one
//   settings { sign, options }   changes these; options one by one
//   rotate-keys {}            signs with a new key from now on; gives its certificate
//   outage { status }         answers all with this status, until it is null
//   events {}                 what happened since it was last asked: [{ event, … }]

import { createRequire } from 'node:module';

import { newCertificate } from './certificate.mjs';
import { authenticate, control, form, loginForm, page, Refused, start } from './server.mjs';

const samlp = createRequire(import.meta.url)('samlp');

const { settings, server, origin, ready } = await start();
const issuer = settings.issuer ?? 'https://saml.example.net/metadata';
const accounts = settings.accounts ?? {};
let { key, cert } = newCertificate('provider of the tests');
let events = [];
let outage = null;

// The request that is answered, as samlp reads it; without one, of a login that begins here.
function parse(request) {
    return new Promise((resolve, reject) =>
        samlp.parseRequest(request, (error, asked) => (error ? reject(error) : resolve(asked))));
}

async function begin(request, response) {
    const given = { ...request.query, ...request.body };
    const asked = await parse(request);
    if (asked) events.push({ event: 'request', relay_state: given.RelayState, ...asked });
    const { SAMLRequest, RelayState, acs, audience } = given;
    page(response, 'Sign in', loginForm('/login', { SAMLRequest, RelayState, acs, audience }));
}

async function finish(request, response) {
    const asked = await parse(request);
    const { RelayState } = request.body;
    const acs = asked?.assertionConsumerServiceURL ?? request.body.acs;
    const sign = settings.sign ?? 'assertion';
    const options = {
        issuer,
        key,
        cert,
        RelayState,
        // The audience is the issuer of the request, by samlp.
        ...(asked ? {} : { audience: request.body.audience }),
        destination: acs,
        recipient: acs,
        signAssertion: ['assertion', 'both'].includes(sign),
        signResponse: ['response', 'both'].includes(sign),
        ...settings.options,
    };
    const failed = (error) => page(response, 'samlp failed', error.stack, 500);
    try {
        const account = authenticate(accounts, request.body);
        request.user = { id: account.name_id ?? request.body.login, attributes: account.attributes ?? {} };
        const getPostURL = (audience, dom, _, callback) => callback(null, acs);
        samlp.auth({ ...options, getPostURL, profileMapper })(request, response, failed);
        events.push({ event: 'answer', user: request.body.login });
    } catch (error) {
        if (!(error instanceof Refused)) throw error;
        const refusal = {
            ...options,
            signatureAlgorithm: 'rsa-sha256',
            digestAlgorithm: 'sha256',
            inResponseTo: asked?.id,
            error: { code: 'urn:oasis:names:tc:SAML:2.0:status:AuthnFailed', description: error.message },
            getPostURL: (_, callback) => callback(null, acs),
        };
        samlp.sendError(refusal)(request, response, failed);
        events.push({ event: 'refusal', user: request.body.login });
    }
}

function profileMapper(user) {
    return { getClaims: () => user.attributes, getNameIdentifier: () => ({ nameIdentifier: user.id }) };
}
profileMapper.prototype.metadata = [];

const metadata = (request, response) =>
    samlp.metadata({ issuer, cert, profileMapper, redirectEndpointPath: '/sso', postEndpointPath: '/sso' })(request, response);

const controls = {
    account({ user, attributes, ...rest }) {
        accounts[user] = { ...accounts[user], ...rest, attributes: { ...accounts[user]?.attributes, ...attributes } };
    },
    settings({ sign, options }) {
        settings.sign = sign ?? settings.sign;
        settings.options = { ...settings.options, ...options };
    },
    'rotate-keys'() {
        ({ key, cert } = newCertificate('provider of the tests, second'));
        return { certificate: cert };
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

// samlp is made for express: what it takes of it.
function asExpress(request, response) {
    request.query = Object.fromEntries(new URL(request.url, origin).searchParams);
    request.originalUrl = request.url;
    request.protocol = 'http';
    response.set = response.setHeader;
    response.send = (body) => (typeof body === 'number' ? response.writeHead(body).end() : response.end(body));
}

const pages = { '/sso': begin, '/start': begin, '/login': finish, '/metadata': metadata };

server.on('request', async (request, response) => {
    if (request.url.startsWith('/control/')) return control(controls, request, response);
    if (outage) return response.writeHead(outage).end('out of order');
    try {
        asExpress(request, response);
        request.body = request.method === 'POST' ? await form(request) : {};
        const answer = pages[new URL(request.url, origin).pathname];
        if (!answer) return page(response, 'Nothing here', '', 404);
        await answer(request, response);
    } catch (error) {
        page(response, 'This request cannot be read', error.message, 400);
    }
});

ready({ issuer, sso: `${origin}/sso`, certificate: cert });
