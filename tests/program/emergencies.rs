//! What is done at night, with a file that is broken.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::{Running, program, tell};

/// Every way in which a file is broken while the proxy goes on with the one before.
const BROKEN: [(&str, &str, &str); 6] = [
    ("unknown key", "mail: console", "mial: console"),
    ("invalid YAML", "access:", "access: [ {"),
    ("a duplicate key", "access:", "access: {}\naccess:"),
    ("a conflict of a merge", "access:", "<<<<<<< HEAD\naccess:"),
    ("a variable that is not set", "mail: console", "mail: '${NO_SUCH_VARIABLE_OF_MINE}'"),
    ("a tab", "  mail:", "\tmail:"),
];

#[test]
fn commands_need_nothing_of_the_file_but_admin() {
    let (running, file) = Running::start("emergencies", |folder, text| {
        std::fs::write(folder.join("access.yml"), text).unwrap();
    });
    for (what, good, bad) in BROKEN {
        let text = file.text(201);
        assert!(text.contains(good), "{what}");
        std::fs::write(running.config(), text.replacen(good, bad, 1)).unwrap();
        let told = tell(&running, &["revoke", "everybody"]);
        assert_eq!(told.0, Some(0), "{what}: {told:?}");
        let told = tell(&running, &["keys", "rotate"]);
        assert_eq!(told.0, Some(0), "{what}: {told:?}");
        // Asked, and told that the file is wrong.
        assert_eq!(tell(&running, &["reload"]).0, Some(1), "{what}");
        let told = tell(&running, &["health"]);
        assert_eq!(told.0, Some(1), "{what}: {told:?}");
        assert!(told.1.contains("configuration_errors: "), "{what}: {told:?}");
        assert_eq!(running.status(), Some(201), "{what}");
    }
    std::fs::remove_file(&file.token).unwrap();
}

#[test]
fn without_a_file_the_address_and_the_token_are_enough() {
    let (running, file) = Running::start("flags", |folder, text| {
        std::fs::write(folder.join("access.yml"), text).unwrap();
    });
    let admin = format!("http://{}", file.admin);
    std::fs::write(running.config(), "admin: { listen: 127.0.0.1:1, tken: x\n").unwrap();
    let told = tell(&running, &["health"]);
    assert_eq!(told.0, Some(2), "{told:?}");
    assert!(
        told.2.contains("--admin http://127.0.0.1:9180 --token-file FILE are enough"),
        "{told:?}"
    );
    // The token from a pipe: it is written into no file.
    let mut child = Command::new(program())
        .args(["revoke", "everybody", "--token-file", "-", "--admin", &admin])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let token = std::fs::read(&file.token).unwrap();
    child.stdin.take().unwrap().write_all(&token).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // What is given goes before what the file says.
    std::fs::write(running.config(), file.text(201)).unwrap();
    assert_eq!(tell(&running, &["health", "--admin", &admin]).0, Some(0));
    let token = file.token.to_str().unwrap();
    assert_eq!(tell(&running, &["health", "--token-file", token]).0, Some(0));
    let told = tell(&running, &["health", "--admin", "http://127.0.0.1:1"]);
    assert!(told.0 == Some(2) && told.2.contains("is the proxy running"), "{told:?}");
    std::fs::remove_file(&file.token).unwrap();
}

#[test]
fn what_tests_nothing_is_no_success() {
    let file =
        std::env::temp_dir().join(format!("tower-access-no-tests-{}.yml", std::process::id()));
    let applications = "access: { mail: console, applications: [ { name: A, domain: a.example, \
                        policies: [ { name: x, decision: bypass, include: [ { everyone: {} } ] } ] } ] }";
    let run = |text: &str, format: &str| {
        std::fs::write(&file, text).unwrap();
        let output =
            Command::new(program()).args(["test", "--format", format]).arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for format in ["text", "json", "junit"] {
        assert_eq!(run(applications, format).0, Some(1), "{format}");
        assert_eq!(run(&format!("{applications}\ntests: []"), format).0, Some(1), "{format}");
    }
    assert!(run(applications, "text").1.contains("has no `tests`, so nothing was tested"));
    let tests = "tests: [ { name: t, request: { url: 'https://a.example/' }, expect: bypassed } ]";
    assert_eq!(run(&format!("{applications}\n{tests}"), "text").0, Some(0));
    std::fs::remove_file(&file).unwrap();
}
