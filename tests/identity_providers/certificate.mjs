// A key and a certificate of its own for it, as SAML providers have them.

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export function newCertificate(name) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const algorithm = der(0x30, rsaWithSha256, der(0x05));
    const commonName = der(0x30, der(0x31, der(0x30, der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from(name)))));
    const day = (days) => {
        const time = new Date(Date.now() + days * 86_400_000).toISOString();
        return der(0x17, Buffer.from(`${time.slice(2, 19).replace(/[-:T]/g, '')}Z`));
    };
    const serial = randomBytes(16);
    serial[0] = 1;
    const content = der(
        0x30,
        der(0xa0, der(0x02, Buffer.from([2]))),
        der(0x02, serial),
        algorithm,
        commonName,
        der(0x30, day(-1), day(365)),
        commonName,
        publicKey.export({ type: 'spki', format: 'der' }),
    );
    const signature = der(0x03, Buffer.from([0]), sign('sha256', content, privateKey));
    const lines = der(0x30, content, algorithm, signature).toString('base64').match(/.{1,64}/g);
    return {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    };
}

const rsaWithSha256 = der(0x06, Buffer.from('2a864886f70d01010b', 'hex'));

function der(tag, ...parts) {
    const content = Buffer.concat(parts);
    const { length } = content;
    const header = length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255];
    return Buffer.concat([Buffer.from(header), content]);
}
