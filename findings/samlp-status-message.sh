#!/usr/bin/env bash
# samlp 8.0.0: an answer made by `sendError` has the text of the error in an attribute `Value` of
# `<samlp:StatusMessage>`, copied from `<samlp:StatusCode Value="…"/>`. By the schema of SAML 2.0 that element is
# a string and has no attributes: a service provider that reads it, as it reads the messages of other identity
# providers, gets an empty text and can show or log only the code.
#
# Seen on 2026-11-28:
#   code: urn:oasis:names:tc:SAML:2.0:status:AuthnFailed
#   text of StatusMessage: ""
#   attribute Value of it: "This account is disabled."
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >package.json <<'JSON'
{ "private": true, "type": "commonjs", "dependencies": { "samlp": "8.0.0", "@xmldom/xmldom": "0.8.11" } }
JSON
npm install --ignore-scripts --no-audit --no-fund --silent
cat >refuse.js <<'JS'
const samlp = require('samlp');
const { DOMParser } = require('@xmldom/xmldom');

const refuse = samlp.sendError({
    issuer: 'https://idp.example/metadata',
    destination: 'https://app.example/saml',
    error: {
        code: 'urn:oasis:names:tc:SAML:2.0:status:AuthnFailed',
        description: 'This account is disabled.',
    },
    getPostURL: (request, callback) => callback(null, 'https://app.example/saml'),
});
refuse({}, {
    set() {},
    send(page) {
        const xml = Buffer.from(page.match(/value="([^"]+)"/)[1], 'base64').toString();
        const answer = new DOMParser().parseFromString(xml, 'text/xml');
        const [code] = Array.from(answer.getElementsByTagName('samlp:StatusCode'));
        const [message] = Array.from(answer.getElementsByTagName('samlp:StatusMessage'));
        console.log(`code: ${code.getAttribute('Value')}`);
        console.log(`text of StatusMessage: ${JSON.stringify(message.textContent)}`);
        console.log(`attribute Value of it: ${JSON.stringify(message.getAttribute('Value'))}`);
    },
}, (error) => { throw error; });
JS
seen="$(node --no-deprecation refuse.js)"
printf '%s\n' "$seen"
diff <(printf '%s\n' "$seen") - <<'EXPECTED'
code: urn:oasis:names:tc:SAML:2.0:status:AuthnFailed
text of StatusMessage: ""
attribute Value of it: "This account is disabled."
EXPECTED
echo "as described"
