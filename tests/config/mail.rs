//! `access.mail`: every way to send a code, and its words.

use std::path::{Path, PathBuf};

use tower_access::config::{
    Config, ConfigErrors, Environment, MailConfig, MailTemplateConfig, Role, TemplateSource,
};

fn parse(mail: &str) -> Result<Config, ConfigErrors> {
    let allow = "policies: [ { name: x, decision: allow, include: [ { everyone: {} } ] } ]";
    let text =
        format!("access:\n  applications: [ {{ domain: a.example, {allow} }} ]\n  mail: {mail}\n");
    let environment = Environment::empty().with("MAIL_TOKEN", "hush");
    Config::parse_with(&text, "access.yml", &environment)
}

fn parsed(mail: &str) -> (MailConfig, MailTemplateConfig) {
    match parse(mail).unwrap().access.role {
        Role::Issuing { mail, mail_template, .. } => (mail, mail_template),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(mail: &str, words: &str) {
    let error = parse(mail).unwrap_err().to_string();
    assert!(error.contains(words), "{mail}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn there_are_four_ways() {
    let (mail, template) = parsed("{ maildir: { path: /var/spool/access } }");
    let MailConfig::Maildir(maildir) = mail else { panic!("{mail:?}") };
    assert_eq!(maildir.path, Path::new("/var/spool/access"));
    assert_eq!(maildir.from, "Access <access@localhost>");
    assert_eq!(template, MailTemplateConfig::default());
    let (mail, _) =
        parsed("{ webhook: { url: 'https://mail.example.com/x', token: '${MAIL_TOKEN}' } }");
    let MailConfig::Webhook(webhook) = mail else { panic!("{mail:?}") };
    assert_eq!(webhook.url, "https://mail.example.com/x");
    assert_eq!(webhook.token.as_ref().unwrap().expose(), "hush");
    assert!(!format!("{webhook:?}").contains("mail.example.com/x"));
    let (mail, _) = parsed(
        "{ smtp: { host: m.example, from: a@b.example, ca_file: /ca.pem, hello_name: access.example } }",
    );
    let MailConfig::Smtp(smtp) = mail else { panic!("{mail:?}") };
    assert_eq!(smtp.ca_file, Some(PathBuf::from("/ca.pem")));
    assert_eq!(smtp.hello_name.as_deref(), Some("access.example"));
}

#[test]
fn what_cannot_be_used_is_refused() {
    refused("{ maildir: { path: /p }, console: {} }", "name one way");
    refused("{ template: {} }", "name one way");
    refused("{ maildir: {} }", "`path` is missing");
    refused("{ maildir: { path: /p, from: nobody } }", "invalid sender");
    refused("{ webhook: { url: 'http://mail.example.com/' } }", "plain `http` can be intercepted");
    refused("{ webhook: { url: 'https://a:b@mail.example.com/' } }", "remove the user name");
    refused(
        "{ webhook: { url: 'https://m.example', token_file: /p, token: '${MAIL_TOKEN}' } }",
        "exclude each other",
    );
    refused(
        "{ webhook: { url: 'https://m.example', token: hush } }",
        "does not belong in this file",
    );
    let smtp = "host: 127.0.0.1, from: a@b.example";
    refused(&format!("{{ smtp: {{ {smtp}, tls: none, ca_file: /p }} }}"), "without TLS");
    refused(&format!("{{ smtp: {{ {smtp}, hello_name: 'a b' }} }}"), "invalid host");
}

#[test]
fn words_are_checked_where_they_are_written() {
    let (_, template) = parsed(
        "{ console: {}, template: { subject: 'To {{application}}', text: '{{code}}', html_file: /p } }",
    );
    assert_eq!(template.subject.as_deref(), Some("To {{application}}"));
    assert_eq!(template.text, Some(TemplateSource::Text("{{code}}".to_owned())));
    assert_eq!(template.html, Some(TemplateSource::File("/p".into())));
    let console = |template: &str| format!("{{ console: {{}}, template: {{ {template} }} }}");
    refused(&console("subject: 'Code {{code}}'"), "a locked screen shows");
    refused(&console("text: Hello"), "there is no `{{code}}`");
    refused(&console("html: '<p>{{code}}</p>{{hots}}'"), "did you mean `{{host}}`?");
    refused(&console("text: '{{code}}', text_file: /p"), "exclude each other");
    refused(&console("words: x"), "unknown");
    let block =
        "\n    console: {}\n    template:\n      text: |\n        Hello\n\n        {{cod}}\n";
    let error = parse(block).unwrap_err().to_string();
    assert_eq!(
        error,
        "access.yml:7:9: access.mail.template.text: line 3: unknown placeholder `{{cod}}`; did you mean \
         `{{code}}`?"
    );
}

/// Removed with this value.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("tower-access-template-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn words_in_files_are_checked_when_the_engine_is_built() {
    let built = |key: &str, path: &Path| {
        let mail = format!("{{ console: {{}}, template: {{ {key}: {} }} }}", path.display());
        parse(&mail).unwrap().try_build().map_err(|error| error.to_string())
    };
    let fine = File::new("fine", "\u{feff}Your code:\n{{code}}\n");
    built("text_file", &fine.0).unwrap();
    built("html_file", &fine.0).unwrap();
    let wrong = File::new("wrong", "Your code:\n\n{{code}}\n{{aplication}}\n");
    let expected = format!(
        "access.mail.template.text_file: {}:4: unknown placeholder `{{{{aplication}}}}`; did you mean \
         `{{{{application}}}}`?",
        wrong.0.display()
    );
    assert_eq!(built("text_file", &wrong.0), Err(expected));
    let large = File::new("large", &format!("{{{{code}}}}{}", "x".repeat(64 << 10)));
    assert!(built("html_file", &large.0).unwrap_err().contains("larger than 64 KiB"));
    let missing = built("html_file", Path::new("/nowhere/mail.html")).unwrap_err();
    assert!(
        missing.starts_with("access.mail.template.html_file: /nowhere/mail.html: "),
        "{missing}"
    );
}

#[test]
fn files_of_the_mailer_are_read_when_the_engine_is_built() {
    let built = |mail: &str| parse(mail).unwrap().try_build().map_err(|error| error.to_string());
    let smtp = "host: m.example, from: a@b.example";
    let no_pem = File::new("pem", "no certificate");
    for (mail, words) in [
        (
            format!("{{ smtp: {{ {smtp}, ca_file: /nowhere }} }}"),
            "access.mail.smtp.ca_file: /nowhere: ",
        ),
        (format!("{{ smtp: {{ {smtp}, ca_file: {} }} }}", no_pem.0.display()), "write them as PEM"),
        (
            "{ webhook: { url: 'https://m.example', token_file: /nowhere } }".to_owned(),
            "access.mail.webhook.token_file: /nowhere: ",
        ),
    ] {
        let error = built(&mail).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    built("{ maildir: { path: /nowhere/at/all } }").unwrap();
}
