//! `proxy man`: the manual page, one for all commands.

use std::io;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::format::unusable;
use crate::output;

/// Prints the page in the format of `man`.
pub(crate) fn run(program: &Command) -> ExitCode {
    match page(program) {
        Ok(page) => output::print(page),
        Err(error) => return unusable(&error),
    }
    ExitCode::SUCCESS
}

fn page(program: &Command) -> io::Result<String> {
    let overview = Man::new(program.clone().subcommand_value_name("COMMAND"));
    let mut page = title(program);
    page += "\n.SH NAME\n";
    page += &content(|section| overview.render_name_section(section))?;
    page += ".SH SYNOPSIS\n";
    page += &content(|section| overview.render_synopsis_section(section))?;
    page += ".SH DESCRIPTION\n";
    page += "Without a command, runs the proxy of a configuration, or a demonstration.\n";
    page += "A proxy reloads its configuration when the file has changed.\n";
    page += ".SH OPTIONS\n";
    page += &content(|section| overview.render_options_section(section))?;
    // Each command has the option `--help`: once is enough.
    let mut commands = program.clone().disable_help_flag(true).disable_help_subcommand(true);
    commands.build();
    page += ".SH COMMANDS\n";
    add_commands(&commands, &mut page)?;
    page += &notes();
    Ok(page)
}

/// The title, and what apostrophes are for each reader of the format.
fn title(program: &Command) -> String {
    let (name, version) = (program.get_name(), program.get_version().unwrap_or_default());
    // An empty date: the page depends on nothing but the program.
    let title =
        format!(".TH {} 1 \"\" \"{name} {version}\" \"User Commands\"", name.to_uppercase());
    Roff::new().render() + &title
}

/// Adds what each command does, and the arguments it takes. Groups of commands have none of their own.
fn add_commands(group: &Command, page: &mut String) -> io::Result<()> {
    for command in group.get_subcommands() {
        if command.has_subcommands() {
            add_commands(command, page)?;
            continue;
        }
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        *page += &Roff::new().control("SS", [name]).to_roff();
        let command = Man::new(command.clone());
        *page += &content(|section| command.render_synopsis_section(section))?;
        *page += ".PP\n";
        *page += &content(|section| command.render_description_section(section))?;
        *page += &content(|section| command.render_options_section(section))?;
    }
    Ok(())
}

/// Returns a section without its heading, and without what is before it.
fn content(render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut section = Vec::new();
    render(&mut section)?;
    let section = String::from_utf8_lossy(&section);
    let content = section.split_once("\n.SH ").and_then(|(_, titled)| titled.split_once('\n'));
    Ok(content.map_or_else(String::new, |(_, content)| content.to_owned()))
}

/// What is not an argument.
fn notes() -> String {
    let mut roff = Roff::new();
    let entry = |roff: &mut Roff, term: &str, meaning: &str| {
        roff.control("TP", []).text([bold(term)]).text([roman(meaning)]);
    };
    roff.control("SH", ["SIGNALS"]);
    entry(&mut roff, "SIGHUP", "Reloads the configuration, and the files that it names.");
    entry(&mut roff, "SIGINT, SIGTERM", "Stops the proxy after the requests under way.");
    roff.control("SH", ["ENVIRONMENT"]);
    let log = "What the log holds, such as warn or tower_access=debug. Default: info.";
    entry(&mut roff, "RUST_LOG", log);
    roff.control("SH", ["EXIT STATUS"]);
    entry(&mut roff, "0", "Done, or nothing to report.");
    entry(&mut roff, "1", "Refused, or something to report.");
    entry(&mut roff, "2", "The command could not be carried out.");
    roff.to_roff()
}
