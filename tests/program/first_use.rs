//! What the program says to somebody who uses it for the first time.

use std::net::TcpListener;
use std::process::Command;

use crate::program;

/// Runs the program: exit code, output, errors.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const APPLICATION: &str = "
ingress: [ { service: http_status:201 } ]
access:
  mail: console
  applications: [ { domain: a.example }, { domain: b.example } ]
";

#[test]
fn a_file_without_config_is_shown_the_command() {
    let (code, _, errors) = run(&["access.yml"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("to run a file: `proxy --config access.yml`"), "{errors}");
    let (code, _, errors) = run(&["chekc"]);
    assert!(code == Some(2) && !errors.contains("to run a file"), "{errors}");
    let (code, version, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(version, format!("proxy {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_a_first_file_lacks_is_said() {
    let folder = std::env::temp_dir().join(format!("tower-access-first-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("access.yml");
    let path = file.to_str().unwrap();

    let missing = folder.join("no/such");
    let state = format!("listen: 127.0.0.1:0\nstate: {}/state.redb\n", missing.display());
    std::fs::write(&file, format!("{state}{APPLICATION}")).unwrap();
    let (code, _, errors) = run(&["--config", path]);
    assert_eq!(code, Some(1), "{errors}");
    let said = format!(
        "state: the directory {} does not exist; create it, writable by this program's user",
        missing.display()
    );
    assert!(errors.contains(&said), "{errors}");
    let (_, _, errors) = run(&["check", path]);
    assert!(errors.contains("does not exist on this machine"), "{errors}");
    assert!(!missing.exists());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen: {}\n", taken.local_addr().unwrap());
    std::fs::write(&file, format!("{listen}{APPLICATION}")).unwrap();
    let (code, output, errors) = run(&["--config", path]);
    assert_eq!((code, output.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("cannot listen on"), "{errors}");

    let (code, _, errors) = run(&["health", "--config", path]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("has no `admin`; add `admin: {"), "{errors}");
    assert!(errors.contains("or pass --admin URL and --token-file PATH"), "{errors}");

    let (code, text, _) = run(&["explain", path, "--url", "https://c.example/"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("denied: no application covers this host and path\n"), "{text}");
    assert!(text.contains("  2 other applications are for other hosts\n"), "{text}");
    for url in ["/docs", "", "https:///docs"] {
        let (code, _, errors) = run(&["explain", path, "--url", url]);
        assert!(code == Some(2) && errors.contains("the host is missing"), "{url}: {errors}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
