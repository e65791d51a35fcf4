"""An SMTP server on a free port. Prints the port, then each mail as one line of JSON.

Its argument, if any, is an object of JSON: `port`, `tls` (`implicit` or `starttls`) with `certificate` and
`key`, `user` and `password`, and `acts`: what it does with the recipients of the first mails, one after the
other. An act is an answer, or `hang`, `hang up`, and `hang up later`: after the text of the mail. Nothing accepts
the mail.

Ends when its standard input does: it never outlives the test that started it.
"""

import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

try:
    from aiosmtpd.smtp import SMTP, AuthResult
except ImportError:
    sys.exit("aiosmtpd is missing: install it with `pip install aiosmtpd`")

settings = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
acts = settings.get("acts", [])


class Printer:
    async def handle_RCPT(self, server, session, envelope, address, options):
        act = acts.pop(0) if acts else ""
        if act == "hang":
            await asyncio.sleep(3600)
        if act == "hang up":
            server.transport.abort()
        if act[:1].isdigit():
            return act
        session.hangs_up = act == "hang up later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if session.hangs_up:
            server.transport.abort()
            return "250 OK"
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        line = {
            "to": envelope.rcpt_tos,
            "from": mail["from"],
            "subject": mail["subject"],
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
            # Of the connection.
            "hello": session.host_name,
            "peer": session.peer[1],
            "encrypted": session.ssl is not None or settings.get("tls") == "implicit",
            "login": bool(session.authenticated),
        }
        print(json.dumps(line), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    expected = [settings["user"], settings["password"]]
    given = [text.decode() for text in data]
    return AuthResult(success=given == expected, handled=False)


def smtp(context):
    options = {}
    if "user" in settings:
        options = {
            "authenticator": authenticate,
            "auth_required": True,
            # TLS from the first byte is not seen by aiosmtpd.
            "auth_require_tls": settings.get("tls") == "starttls",
        }
    if settings.get("tls") == "starttls":
        options["tls_context"] = context
        options["require_starttls"] = True
    return SMTP(Printer(), **options)


async def main():
    loop = asyncio.get_running_loop()
    context = None
    if "tls" in settings:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"], settings["key"])
    at_once = context if settings.get("tls") == "implicit" else None
    server = await loop.create_server(
        lambda: smtp(context), "127.0.0.1", settings.get("port", 0), ssl=at_once
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


# Clients that refuse the certificate are part of the tests.
logging.disable()
warnings.simplefilter("ignore")
asyncio.run(main())
