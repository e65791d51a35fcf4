//! A reader of what is printed that goes away.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::{File, Running, free_address, program};

/// A pipe whose reader is gone before the first byte.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn configuration(name: &str) -> (PathBuf, File) {
    let file = std::env::temp_dir().join(format!("tower-access-{name}-{}.yml", std::process::id()));
    let token = file.with_extension("token");
    std::fs::write(&token, "6f1ed002ab5595859014ebf0951522d9\n").unwrap();
    let text = File { listen: free_address(), admin: free_address(), token };
    std::fs::write(&file, text.text(201)).unwrap();
    (file, text)
}

#[test]
fn a_reader_that_goes_away_ends_no_command_with_a_panic() {
    let (file, text) = configuration("pipe");
    let path = file.to_str().unwrap();
    let token = text.token.to_str().unwrap();
    for arguments in [
        &["check", path][..],
        &["check", path, "--format", "json"],
        &["explain", path, "--url", "https://open.example/"],
        &["test", path],
        &["test", path, "--format", "junit"],
        &["diff", path, path],
        &["import", "/no/such/file"],
        &["schema"],
        &["health", "--admin", "http://127.0.0.1:1", "--token-file", token],
        &["--help"],
        &["check", "/no/such/file"],
    ] {
        let run = |out: Stdio, error: Stdio| -> ExitStatus {
            Command::new(program()).args(arguments).stdout(out).stderr(error).status().unwrap()
        };
        let heard = run(Stdio::null(), Stdio::null()).code();
        assert_ne!(heard, Some(101), "{arguments:?}");
        let unheard =
            Command::new(program()).args(arguments).stdout(closed_pipe()).output().unwrap();
        let errors = String::from_utf8(unheard.stderr).unwrap();
        assert_eq!(unheard.status.code(), heard, "{arguments:?}: {errors}");
        assert!(
            !errors.contains("panicked") && !errors.contains("pipe"),
            "{arguments:?}: {errors}"
        );
        assert_eq!(run(closed_pipe(), closed_pipe()).code(), heard, "{arguments:?}");
    }
    remove(&file, &text);
}

/// What could not be written is no success: a script would go on with half of it.
#[test]
fn what_could_not_be_printed_is_a_failure() {
    let (file, text) = configuration("full");
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let printed = Command::new(program())
        .args(["explain", file.to_str().unwrap(), "--url", "https://open.example/"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(printed.status.code(), Some(2));
    let errors = String::from_utf8(printed.stderr).unwrap();
    assert!(errors.starts_with("standard output: "), "{errors}");
    remove(&file, &text);
}

#[test]
fn the_schema_is_printed_as_json() {
    let printed = Command::new(program()).arg("schema").output().unwrap();
    assert_eq!(printed.status.code(), Some(0));
    let text = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(text, tower_access::config::Config::json_schema() + "\n");
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["properties"]["public_port"]["maximum"], 65_535);
}

#[test]
fn a_proxy_serves_whether_or_not_somebody_reads_what_it_prints() {
    let (file, text) = configuration("unread");
    let mut process = Command::new(program())
        .arg("--config")
        .arg(&file)
        .stdout(closed_pipe())
        .stderr(closed_pipe())
        .spawn()
        .unwrap();
    let folder = file.with_extension("folder");
    std::fs::create_dir_all(&folder).unwrap();
    assert!(process.try_wait().unwrap().is_none());
    let running = Running { process, folder, log: Default::default(), address: text.listen };
    running.answers(201);
    // It logs that too, to nobody.
    std::fs::write(&file, text.text(202)).unwrap();
    running.answers(202);
    drop(running);
    remove(&file, &text);
}

fn remove(file: &Path, text: &File) {
    std::fs::remove_file(file).unwrap();
    std::fs::remove_file(&text.token).unwrap();
}
