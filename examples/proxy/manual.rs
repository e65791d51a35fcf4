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
    let mut page = Vec::new();
    match write_page(program, &mut page) {
        Ok(()) => output::print(String::from_utf8_lossy(&page)),
        Err(error) => return unusable(&error),
    }
    ExitCode::SUCCESS
}

fn write_page(program: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let overview = Man::new(program.clone()).manual("User Commands");
    overview.render_title(page)?;
    overview.render_name_section(page)?;
    overview.render_synopsis_section(page)?;
    overview.render_description_section(page)?;
    overview.render_options_section(page)?;
    // Each command has the option `--help`: once is enough.
    let mut commands =
        program.clone().disable_help_flag(true).disable_help_subcommand(true).version(None);
    commands.build();
    Roff::new().control("SH", ["COMMANDS"]).to_writer(page)?;
    write_commands(&commands, page)?;
    notes().to_writer(page)
}

/// Writes what each command does, and the arguments it takes. Groups of commands have none of their own.
fn write_commands(group: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    for command in group.get_subcommands() {
        if command.has_subcommands() {
            write_commands(command, page)?;
            continue;
        }
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        Roff::new().control("SS", [name]).to_writer(page)?;
        let command = Man::new(command.clone());
        let paragraph = Roff::new().control("PP", [] as [&str; 0]).to_roff();
        append_content(page, |section| command.render_synopsis_section(section))?;
        page.extend(paragraph.as_bytes());
        append_content(page, |section| command.render_description_section(section))?;
        append_content(page, |section| command.render_options_section(section))?;
    }
    Ok(())
}

/// Writes a section without its heading.
fn append_content(
    page: &mut Vec<u8>,
    render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let mut section = Vec::new();
    render(&mut section)?;
    let section = String::from_utf8_lossy(&section);
    let content = section.split_once("\n.SH ").and_then(|(_, titled)| titled.split_once('\n'));
    page.extend(content.map_or("", |(_, content)| content).as_bytes());
    Ok(())
}

/// What is not an argument.
fn notes() -> Roff {
    let mut roff = Roff::new();
    let entry = |roff: &mut Roff, term: &str, meaning: &str| {
        roff.control("TP", [] as [&str; 0]).text([bold(term)]).text([roman(meaning)]);
    };
    roff.control("SH", ["SIGNALS"]);
    entry(&mut roff, "SIGHUP", "Reloads the configuration, and the files that it names.");
    entry(&mut roff, "SIGINT, SIGTERM", "Stops the proxy after the requests under way.");
    roff.control("SH", ["ENVIRONMENT"]);
    entry(
        &mut roff,
        "RUST_LOG",
        "What the log holds, such as warn or tower_access=debug. Default: info.",
    );
    roff.control("SH", ["EXIT STATUS"]);
    entry(&mut roff, "0", "Done, or nothing to report.");
    entry(&mut roff, "1", "Refused, or something to report.");
    entry(&mut roff, "2", "The command could not be carried out.");
    roff
}
