//! `proxy mail test`, with mail servers that accept, refuse, or are not there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use crate::{Running, free_address, program, tell};

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

#[test]
fn a_mail_into_a_folder() {
    let folder =
        std::env::temp_dir().join(format!("tower-access-program-maildir-{}", std::process::id()));
    let mail = format!("mail: {{ maildir: {{ path: {} }} }}", folder.display());
    let (code, output, errors) = test_mail("maildir", &mail, "");
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        output.starts_with(&format!("maildir {}: accepted a mail", folder.display())),
        "{output}"
    );
    assert_eq!(std::fs::read_dir(folder.join("new")).unwrap().count(), 1);
    std::fs::remove_dir_all(&folder).unwrap();
    let mail = "mail: { maildir: { path: /nowhere/at/all } }";
    let (code, _, errors) = test_mail("no-maildir", mail, "");
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("/nowhere/at/all: "), "{errors}");
}

/// A service for one request. What it was sent.
fn webhook(status: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            reader.read_line(&mut head).unwrap();
            let line = head[begin..].trim_end().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        let _ = sender.send(format!("{head}{}", String::from_utf8(body).unwrap()));
    });
    (address, received)
}

#[test]
fn a_mail_to_a_webhook() {
    for (status, code, words) in [
        ("202 Accepted", 0, ""),
        ("401 Unauthorized", 1, "check `token_file` or `token`; codes are given up"),
        ("422 Unprocessable", 1, "others may get their codes"),
        ("503 Service Unavailable", 1, "codes are sent again after this error"),
    ] {
        let name = format!("webhook-{code}-{}", &status[..3]);
        let token =
            std::env::temp_dir().join(format!("tower-access-{name}-{}", std::process::id()));
        std::fs::write(&token, "hush\n").unwrap();
        let (address, received) = webhook(status);
        let mail = format!(
            "mail: {{ webhook: {{ url: 'http://{address}/codes', token_file: {} }} }}",
            token.display()
        );
        let (found, output, errors) = test_mail(&name, &mail, "");
        std::fs::remove_file(&token).unwrap();
        assert_eq!(found, Some(code), "{status}: {errors}");
        assert!(errors.contains(words), "{status}: {errors}");
        assert!(!errors.contains("hush") && !output.contains("hush"), "{errors}");
        let sent = received.recv().unwrap();
        assert!(sent.contains("authorization: Bearer hush"), "{sent}");
        assert!(sent.contains("\"to\":\"ada@example.com\""), "{sent}");
    }
}

/// Everything but new logins works.
#[test]
fn a_proxy_starts_beside_a_mail_server_that_is_down_and_says_so() {
    let mail = free_address();
    let (running, file) = Running::start("mail-down", |folder, text| {
        let smtp = smtp(mail, "none", "");
        let text = text.replace("mail: console", &smtp);
        std::fs::write(folder.join("access.yml"), text).unwrap();
    });
    running.logs("mail cannot be sent: users who need a code cannot log in");
    let (code, health, errors) = tell(&running, &["health"]);
    assert_eq!(code, Some(1), "{health}{errors}");
    assert!(health.contains("failing") && health.contains("cannot be reached"), "{health}");
    assert_eq!(running.status(), Some(201));

    // Another configuration is tested as well.
    let (back, _) = server("NOTHING", "");
    let text = std::fs::read_to_string(running.config()).unwrap();
    let text = text.replace(&format!("port: {}", mail.port()), &format!("port: {}", back.port()));
    std::fs::write(running.config(), text).unwrap();
    running.soon("the mail server is tested again", || tell(&running, &["health"]).0 == Some(0));
    std::fs::remove_file(&file.token).unwrap();
}
