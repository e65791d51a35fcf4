//! `proxy mail test`, with mail servers that accept, refuse, or are not there.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use crate::{free_address, program};

/// A mail server for one mail, which answers to one command in its own way. What it was sent.
fn server(answer_to: &'static str, answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        stream.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        let mut text = String::new();
        let mut is_in_mail = false;
        while let Some(Ok(line)) = lines.next() {
            text.push_str(&line);
            text.push('\n');
            let usual = match line.get(..4).unwrap_or(&line) {
                _ if is_in_mail && line != "." => continue,
                "EHLO" => "250-mail.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
                "AUTH" => "235 fine",
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 fine",
            };
            is_in_mail = line == "DATA";
            let answer = if line.starts_with(answer_to) { answer } else { usual };
            if write!(stream, "{answer}\r\n").is_err() {
                break;
            }
        }
        let _ = sender.send(text);
    });
    (address, received)
}

/// Exit code, output and errors.
fn test_mail(name: &str, access: &str, issuer: &str) -> (Option<i32>, String, String) {
    let file =
        std::env::temp_dir().join(format!("tower-access-mail-{name}-{}.yml", std::process::id()));
    let text = format!(
        "access:\n  {access}\n  applications: [ {{ name: A, domain: a.example, {issuer} policies: [ \
         {{ name: x, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ] }} ] }} ]\n"
    );
    std::fs::write(&file, text).unwrap();
    let output = Command::new(program())
        .args(["mail", "test", "ada@example.com", "--config"])
        .arg(&file)
        .env("RUST_LOG", "off")
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn smtp(address: SocketAddr, tls: &str, more: &str) -> String {
    let port = address.port();
    format!(
        "mail: {{ smtp: {{ host: 127.0.0.1, port: {port}, tls: {tls}, from: access@example.com{more} }} }}"
    )
}

#[test]
fn a_mail_that_is_accepted() {
    let (address, received) = server("NOTHING", "");
    let (code, output, errors) = test_mail("accepted", &smtp(address, "none", ""), "");
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.contains("accepted a mail for ada@example.com"), "{output}");
    let mail = received.recv().unwrap();
    assert!(mail.contains("RCPT TO:<ada@example.com>"), "{mail}");
    assert!(mail.contains("Subject: Test of the login's mail"), "{mail}");
}

#[test]
fn what_a_mail_server_does_not_like_is_told_with_what_to_do() {
    for (name, at, answer, hint) in [
        ("login", "AUTH", "535 5.7.8 bad credentials", "check `username` and `password_file`"),
        (
            "relay",
            "RCPT",
            "554 5.7.1 relay access denied",
            "whether this machine may send through it",
        ),
        ("sender", "MAIL", "553 5.1.8 sender refused", "check `from`"),
        ("nobody", "RCPT", "550 5.1.1 no such user", "550"),
        ("busy", "MAIL", "421 4.3.2 too busy", "421"),
    ] {
        let password =
            std::env::temp_dir().join(format!("tower-access-{name}-{}", std::process::id()));
        std::fs::write(&password, "hunter2").unwrap();
        let login = format!(", username: me, password_file: {}", password.display());
        let (address, _) = server(at, answer);
        let (code, _, errors) = test_mail(name, &smtp(address, "none", &login), "");
        std::fs::remove_file(&password).unwrap();
        assert_eq!(code, Some(1), "{name}: {errors}");
        assert!(errors.contains(hint), "{name}: {errors}");
        assert!(errors.lines().count() == 1 && !errors.contains("hunter2"), "{name}: {errors}");
    }
}

#[test]
fn a_mail_server_that_is_not_there_or_has_no_tls() {
    let (code, _, errors) = test_mail("absent", &smtp(free_address(), "none", ""), "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("cannot be reached: check `host`, `port`"), "{errors}");
    let (address, _) = server("NOTHING", "");
    let (code, _, errors) = test_mail("starttls", &smtp(address, "starttls", ""), "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("does not support what `tls` or the login needs"), "{errors}");
}

#[test]
fn a_mail_server_that_is_silent_is_given_up_after_the_time_of_the_file() {
    // The system accepts the connection, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (code, _, errors) = test_mail("silent", &smtp(address, "none", ", timeout: 1s"), "");
    assert_eq!(code, Some(1));
    assert!(errors.contains("no response within 1s"), "{errors}");
    for timeout in ["0s", "999ms", "61s", "soon"] {
        let more = format!(", timeout: {timeout}");
        let (code, _, errors) = test_mail("bounds", &smtp(address, "none", &more), "");
        assert_eq!(code, Some(2), "{timeout}");
        assert!(errors.contains("access.mail.smtp.timeout"), "{timeout}: {errors}");
    }
}

#[test]
fn a_file_that_sends_no_mail() {
    let issuer = "issuer: { team_domain: acme.cloudflareaccess.com }";
    let aud = format!("aud: {},", "7a".repeat(32));
    let (code, _, errors) = test_mail("issuer", issuer, &aud);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("the issuer of the tokens runs the login"), "{errors}");
    let (code, output, _) = test_mail("console", "mail: console", "");
    assert_eq!(code, Some(0));
    assert!(
        output.contains("Test of the login's mail") && output.contains("console: "),
        "{output}"
    );
}
