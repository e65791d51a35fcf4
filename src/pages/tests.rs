use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[test]
fn hostile_text_is_escaped() {
    for hostile in [r#""><script>"#, "'-alert(1)-'", "</pre>", "</title><b>", "</style><b>"] {
        let url = format!("/x{hostile}");
        for page in pages(hostile, &url) {
            let html = render(&page);
            assert!(!html.contains(hostile), "{hostile} in {html}");
            assert_same_structure(&page, &html);
        }
    }
}

#[test]
fn links_and_forms_only_load_pages() {
    for hostile in
        ["javascript:alert(1)", " javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x"]
    {
        for page in pages("text", hostile) {
            let html = render(&page);
            for tag in tags(&html) {
                for name in ["href", "action"] {
                    if tag.name != "link" && tag.has(name) {
                        assert_eq!(tag.get(name), "#", "{html}");
                    }
                }
            }
        }
    }
    let page = Page::SignOut(SignOut { action: "HTTPS://team.example/out?a=1&b=2" });
    assert!(render(&page).contains(r#"action="HTTPS://team.example/out?a=1&#38;b=2""#));
}

#[test]
fn documents_are_well_formed() {
    for page in pages("text", "/url") {
        let html = render(&page);
        assert!(html.starts_with("<!doctype html>"), "{html}");
        assert!(html.trim_end().ends_with("</html>"), "{html}");
        let tags = tags(&html);
        let count = |name| tags.iter().filter(|tag| tag.name == name).count();
        for once in ["html", "head", "title", "style", "body", "main", "h1"] {
            assert_eq!(count(once), 1, "{once} in {html}");
        }
        let paired = ["main", "form", "p", "svg", "a", "bdi", "dl", "div", "dt", "dd", "button"];
        for name in paired {
            assert_eq!(count(name), html.matches(&format!("</{name}>")).count(), "{name}");
        }
        assert!(html.contains(r#"<html lang="en">"#));
        assert!(html.contains(r#"<meta name="robots" content="noindex">"#));
        assert!(html.contains(r#"<meta name="referrer" content="no-referrer">"#));
    }
}

/// FLOW-19
#[test]
fn inputs_are_labelled_and_described() {
    for page in pages("text", "/url") {
        let html = render(&page);
        let tags = tags(&html);
        let ids: Vec<_> =
            tags.iter().filter(|tag| tag.has("id")).map(|tag| tag.get("id")).collect();
        for input in tags.iter().filter(|tag| tag.name == "input" && tag.get("type") != "hidden") {
            let id = input.get("id");
            assert!(tags.iter().any(|tag| tag.name == "label" && tag.get("for") == id), "{html}");
            assert!(input.has("required") && input.has("autofocus"), "{html}");
            if html.contains(r#"role="alert""#) {
                assert!(input.get("aria-describedby").split(' ').any(|id| id == "error"), "{html}");
            }
        }
        for described in tags.iter().flat_map(|tag| tag.get("aria-describedby").split_whitespace())
        {
            assert_eq!(ids.iter().filter(|id| **id == described).count(), 1, "{html}");
        }
    }
}

/// FLOW-19: without a script nothing is missing but one convenience.
#[test]
fn documents_load_nothing_and_run_only_what_fills_in_the_code() {
    for page in pages("text", "/url") {
        let html = render(&page);
        assert!(!html.contains("//"), "{html}");
        let fills_in = matches!(&page, Page::EnterCode(page) if page.is_from_mail
            && !page.error.is_some_and(CodeError::needs_new_code));
        let script = format!("<script>{}</script>", include_str!("templates/fill_in_code.js"));
        assert_eq!(html.matches(&script).count(), usize::from(fills_in), "{html}");
        let html = html.replace(&script, "");
        for tag in tags(&html) {
            assert!(!["script", "iframe", "object", "embed", "base"].contains(&tag.name), "{html}");
            for (name, _) in &tag.attributes {
                assert!(!name.starts_with("on") && *name != "style", "{name} in {html}");
            }
        }
    }
}

#[test]
fn policy_admits_the_stylesheet() {
    for page in pages("text", "/url") {
        let html = render(&page);
        let style = between(&html, "<style>", "</style>");
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert!(content_security_policy().contains(&format!("style-src 'sha256-{hash}';")));
        assert!(style.len() < 6000);
    }
    let script = include_str!("templates/fill_in_code.js");
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, script.as_bytes()));
    assert!(content_security_policy().contains(&format!("script-src 'sha256-{hash}';")));
    // Whoever could put that script into a page could do no more with it: it posts nothing.
    assert!(!["submit", "click", "fetch", "http"].iter().any(|word| script.contains(word)));
    assert!(content_security_policy().starts_with("default-src 'none';"));
    assert!(!content_security_policy().contains("unsafe"));
    assert_eq!(BuiltInPages.content_security_policy(), content_security_policy());
}

#[test]
fn sign_in_carries_the_form() {
    let html = render(&Page::SignIn(SignIn {
        application: "Wiki",
        host: "wiki.example.com",
        action: "/cdn-cgi/access/verify-code/wiki.example.com?kid=a&meta=b",
        redirect_url: "/page?x",
        client_id: "aud",
        connector_id: "otp",
        email: Some("ann@example.com"),
        error: None,
        notice: None,
        other_methods: &[],
    }));
    assert_eq!(between(&html, "<title>", "</title>"), "Sign in ・ Wiki");
    assert!(html.contains("<h1>Log in to Wiki</h1>"));
    assert!(html.contains(">Send me a code</button>"));
    let fields = fields(&html);
    let expected = [
        ("client_id", "aud"),
        ("connector_id", "otp"),
        ("connector_type", "onetimepin"),
        ("redirect_url", "/page?x"),
        ("email", "ann@example.com"),
    ];
    assert_eq!(fields, expected);
    assert!(!html.contains("aria-invalid=") && !html.contains("role=\"alert\""));
}

#[test]
fn enter_code_always_says_that_a_code_was_emailed() {
    for error in CODE_ERRORS {
        let html = render(&Page::EnterCode(enter_code(error)));
        assert!(html.contains("has been emailed to <bdi class=\"strong\">ann@example.com</bdi>"));
        assert!(html.contains("Send a new code</a>") && html.contains("Use another address</a>"));
        let spent = error.is_some_and(CodeError::needs_new_code);
        assert_eq!(fields(&html).is_empty(), spent, "{error:?}");
        if !spent {
            assert_eq!(fields(&html), [("nonce", "nonce"), ("code", "")]);
        }
        if let Some(error) = error {
            assert!(html.contains(&*error.message()), "{error:?}");
        }
    }
}

#[test]
fn only_a_wrong_code_marks_the_field() {
    let invalid = |error| {
        render(&Page::EnterCode(enter_code(Some(error)))).contains(r#"aria-invalid="true""#)
    };
    assert!(invalid(CodeError::Wrong { attempts_left: 2 }));
    assert!(!invalid(CodeError::ResendLimited));
}

#[test]
fn attempts_are_counted() {
    let message = |attempts_left| CodeError::Wrong { attempts_left }.message();
    assert_eq!(message(2), "That code is not right. You have 2 attempts left.");
    assert_eq!(message(1), "That code is not right. You have 1 attempt left.");
    assert_eq!(message(0), "That code is not right.");
}

#[test]
fn flow_18_an_approval_says_whom_and_what_it_lets_in() {
    let approve = ApproveClient {
        application: "Wiki",
        host: "wiki.example.com",
        email: "ann@example.com",
        action: "/cdn-cgi/access/cli/wiki.example.com?token=a",
        proof: "proof",
        key: "KEY=",
        with_session: false,
    };
    let html = render(&Page::ApproveClient(approve));
    for text in ["Wiki", "wiki.example.com", "ann@example.com", "command-line client", "KEY="] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(fields(&html), [("proof", "proof")]);
    assert!(!html.contains("other applications") && html.contains("<form method=\"post\""));
    let html = render(&Page::ApproveClient(ApproveClient { with_session: true, ..approve }));
    assert!(html.contains("other applications"));
    let html = render(&Page::ClientApproved);
    assert!(html.contains("You can close this page.") && !html.contains("<form"));
}

#[test]
fn refusals_show_the_reference() {
    let denied = Denied {
        application: "Wiki",
        host: None,
        email: None,
        message: None,
        reference: "ref-42",
        sign_out_url: None,
        sessions_url: None,
        retry_url: None,
    };
    let html = render(&Page::Denied(denied));
    assert!(html.contains("That account does not have access."));
    assert!(html.contains("<code>ref-42</code>"));
    assert!(!html.contains("<a "));
    let html = render(&Page::Denied(Denied { message: Some("Ask Bob."), ..denied }));
    assert!(html.contains("Ask Bob.") && !html.contains("That account"));
    let html = render(&Page::Forbidden(Forbidden {
        host: Some("wiki.example.com"),
        reference: "ref-43",
        sign_out_url: None,
        home_url: Some("/"),
    }));
    assert!(html.contains("<code>ref-43</code>"));
    assert!(html.contains(
        "You don't have permission to view this. Please contact your system administrator."
    ));
}

/// Every page in every state, with all its text and all its addresses replaced.
fn pages<'a>(text: &'a str, url: &'a str) -> Vec<Page<'a>> {
    let entry = |is_current, text_if| SessionEntry {
        id: text,
        browser: text_if,
        address: text_if,
        started: text,
        last_seen: text,
        login_method: text,
        is_current,
    };
    let entries: &[_] = Vec::leak(vec![entry(true, Some(text)), entry(false, None)]);
    let methods: &[_] = Vec::leak(vec![MethodLink { name: text, url }; 2]);
    let mut pages = vec![Page::SignOut(SignOut { action: url }), Page::ClientApproved];
    for some in [true, false] {
        let text_if = some.then_some(text);
        let url_if = some.then_some(url);
        pages.extend([
            Page::SignIn(SignIn {
                application: text,
                host: text,
                action: url,
                redirect_url: text,
                client_id: text,
                connector_id: text,
                email: text_if,
                error: text_if,
                notice: text_if,
                other_methods: if some { methods } else { &[] },
            }),
            Page::ChooseMethod(ChooseMethod {
                application: text,
                host: text,
                methods,
                notice: text_if,
            }),
            Page::Continue(Continue { title: text, message: text, url, is_immediate: some }),
            Page::Forbidden(Forbidden {
                host: text_if,
                reference: text,
                sign_out_url: url_if,
                home_url: url_if,
            }),
            Page::Denied(Denied {
                application: text,
                host: text_if,
                email: text_if,
                message: text_if,
                reference: text,
                sign_out_url: url_if,
                retry_url: url_if,
                sessions_url: url_if,
            }),
            Page::Problem(
                Problem::new(text, text)
                    .host(text_if)
                    .reference(text_if)
                    .retry(url_if, text)
                    .home_url(url_if),
            ),
            Page::SignedOut(SignedOut { sign_in_url: url_if }),
            Page::ApproveClient(ApproveClient {
                application: text,
                host: text,
                email: text,
                action: url,
                proof: text,
                key: text,
                with_session: some,
            }),
            Page::Sessions(Sessions {
                email: text,
                action: url,
                sessions: if some { entries } else { &[] },
                more: usize::from(some),
            }),
        ]);
    }
    for error in CODE_ERRORS {
        for is_from_mail in [false, true] {
            pages.push(Page::EnterCode(EnterCode {
                application: text,
                email: text,
                action: url,
                nonce: text,
                resend_url: url,
                start_over_url: url,
                minutes: 10,
                digits: 6,
                uses_latest_mail: false,
                is_from_mail,
                error,
            }));
        }
    }
    pages
}

fn enter_code(error: Option<CodeError>) -> EnterCode<'static> {
    EnterCode {
        application: "Wiki",
        email: "ann@example.com",
        action: "/cdn-cgi/access/callback",
        nonce: "nonce",
        resend_url: "/resend",
        start_over_url: "/login",
        minutes: 10,
        digits: 6,
        uses_latest_mail: false,
        is_from_mail: false,
        error,
    }
}

/// Hostile text adds no element: the tags are those of the same page with harmless text.
fn assert_same_structure(page: &Page<'_>, html: &str) {
    let names = |html: &str| tags(html).iter().map(|tag| tag.name.to_owned()).collect::<Vec<_>>();
    let structure = names(html);
    let harmless = pages("text", "/url").iter().any(|other| {
        std::mem::discriminant(other) == std::mem::discriminant(page)
            && names(&render(other)) == structure
    });
    assert!(harmless, "{html}");
}

fn fields(html: &str) -> Vec<(&str, &str)> {
    let inputs = tags(html).into_iter().filter(|tag| tag.name == "input");
    inputs.map(|tag| (tag.get("name"), tag.get("value"))).collect()
}

fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    html.split_once(start).unwrap().1.split_once(end).unwrap().0
}

struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Tag<'a> {
    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|attribute| attribute.0 == name)
    }

    fn get(&self, name: &str) -> &'a str {
        self.attributes.iter().find(|attribute| attribute.0 == name).map_or("", |found| found.1)
    }
}

/// The opening tags, as a browser reads them.
fn tags(html: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap();
        let mut tag = Tag { name: &rest[..end], attributes: Vec::new() };
        rest = &rest[end..];
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '=').unwrap();
            let name = &rest[..end];
            rest = &rest[end..];
            let mut value = "";
            if let Some(after) = rest.strip_prefix("=\"") {
                (value, rest) = after.split_once('"').unwrap();
            }
            tag.attributes.push((name, value));
        }
        tags.push(tag);
    }
    tags
}

const CODE_ERRORS: [Option<CodeError>; 7] = [
    None,
    Some(CodeError::Malformed { digits: 6, attempts_left: 3 }),
    Some(CodeError::Wrong { attempts_left: 2 }),
    Some(CodeError::Exhausted),
    Some(CodeError::Expired),
    Some(CodeError::AlreadyUsed),
    Some(CodeError::ResendLimited),
];
