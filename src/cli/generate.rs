//! `gatemq completion` and `gatemq man`: made from the same description of the command line that parses it.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Arguments, Exit, complain, say};

/// Prints what makes a shell complete our command line.
pub(super) fn completion(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "gatemq", &mut script);
    // Whoever has closed the other end does not want it any more.
    let _ = io::stdout().write_all(&script);
    Exit::Done
}

/// Prints the manual page, or writes those of all commands into a directory.
pub(super) fn man(directory: Option<&Path>) -> Exit {
    let mut program = Arguments::command().disable_help_subcommand(true);
    // Subcommands learn what they are called.
    program.build();
    match directory {
        None => {
            let _ = io::stdout().write_all(&page(&program));
            Exit::Done
        }
        Some(directory) => match write_all(&program, directory) {
            Ok(paths) => {
                for path in paths {
                    say(path.display());
                }
                Exit::Done
            }
            Err(error) => complain(
                Exit::Configuration,
                io::Error::other(format!(
                    "{}: {error}; a directory that can be written to is expected",
                    directory.display()
                )),
            ),
        },
    }
}

fn page(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    let man = Man::new(command.clone()).manual("GateMQ");
    man.render(&mut text).expect("a Vec takes what is written");
    text
}

fn write_all(program: &Command, directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory)?;
    let mut paths = Vec::new();
    let mut commands = vec![program];
    while let Some(command) = commands.pop() {
        let name = command.get_display_name().unwrap_or("gatemq");
        let path = directory.join(format!("{name}.1"));
        fs::write(&path, page(command))?;
        paths.push(path);
        commands.extend(command.get_subcommands());
    }
    paths.sort();
    Ok(paths)
}
