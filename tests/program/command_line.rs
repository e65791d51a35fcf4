//! The version, the completion scripts and the manual page.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::program;

/// Every command of the program.
const COMMANDS: [&str; 16] = [
    "check",
    "completions",
    "diff",
    "explain",
    "health",
    "import",
    "keys",
    "mail",
    "man",
    "reload",
    "restore",
    "revoke",
    "schema",
    "service-token",
    "sessions",
    "test",
];

fn output_of(arguments: &[&str]) -> String {
    let output = Command::new(program()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Lets a program read a text, and returns whether it succeeds, with all that it says. `None` if it is missing.
fn read_by(name: &str, arguments: &[&str], text: &str) -> Option<(bool, String)> {
    let mut reader = Command::new(name)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = reader.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = reader.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    Some((output.status.success(), said.concat()))
}

#[test]
fn the_list_of_commands_is_complete() {
    let help = output_of(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let mut commands: Vec<&str> =
        commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    commands.retain(|name| !name.is_empty() && *name != "help");
    commands.sort_unstable();
    assert_eq!(commands, COMMANDS);
}

#[test]
fn the_version_is_that_of_the_crate() {
    let version = concat!("proxy ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(output_of(&["-V"]), version);
    assert_eq!(output_of(&["--version"]), version);
}

#[test]
fn bash_reads_its_completions() {
    let script = output_of(&["completions", "bash"]);
    let (fine, said) = read_by("bash", &["-n"], &script).expect("bash is there");
    assert!(fine && said.is_empty(), "{said}");
    for command in COMMANDS {
        assert!(script.contains(&format!("proxy,{command})")), "{command}");
    }

    // What a user gets for `proxy ser` and TAB.
    let asked = format!(
        "{script}\nCOMP_WORDS=(proxy ser); COMP_CWORD=1; _proxy proxy ser proxy; echo \"${{COMPREPLY[@]}}\"\n"
    );
    let (_, said) = read_by("bash", &["--norc"], &asked).unwrap();
    assert_eq!(said.trim_end(), "service-token");
}

#[test]
fn each_shell_has_completions_for_every_command() {
    let shells = [
        ("elvish", None),
        ("fish", Some("--no-execute")),
        ("powershell", None),
        ("zsh", Some("-n")),
    ];
    for (shell, only_read) in shells {
        let script = output_of(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        // A shell that is missing cannot say whether it reads the script.
        if let Some(only_read) = only_read
            && let Some((fine, said)) = read_by(shell, &[only_read], &script)
        {
            assert!(fine && said.is_empty(), "{shell}: {said}");
        }
    }
    let output = Command::new(program()).args(["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_manual_page_has_every_command_and_is_accepted() {
    let page = output_of(&["man"]);
    assert!(page.lines().any(|line| line.starts_with(".TH PROXY 1 ")), "{page}");
    for section in
        ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "SIGNALS", "ENVIRONMENT"]
    {
        assert!(page.replace('"', "").contains(&format!("\n.SH {section}\n")), "{section}");
    }
    for command in COMMANDS {
        let has_it = |line: &str| {
            let name = line.strip_prefix(".SS \"proxy ").and_then(|line| line.strip_suffix('"'));
            name.is_some_and(|name| name.split(' ').next() == Some(command))
        };
        assert!(page.lines().any(has_it), "{command}");
    }
    // Requests are those of `man`: a text never becomes one.
    let known =
        ["TH", "SH", "SS", "PP", "TP", "RS", "RE", "br", "ie", "el", "nf", "fi", "IP", "PD"];
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        let request = line[1..].split(' ').next().unwrap();
        assert!(known.contains(&request), "{line}");
    }
    for (reader, arguments) in [
        ("groff", ["-man", "-ww", "-z", "-Tutf8"].as_slice()),
        ("mandoc", ["-T", "lint", "-W", "error"].as_slice()),
    ] {
        if let Some((fine, said)) = read_by(reader, arguments, &page) {
            assert!(fine && said.is_empty(), "{reader}: {said}");
        }
    }
}
