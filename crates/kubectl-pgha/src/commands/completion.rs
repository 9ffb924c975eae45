//! `kubectl pgha completion`.

use clap_complete::env::{Bash, EnvCompleter, Fish, Powershell, Zsh};

use crate::args::{CompletionArgs, Shell};
use crate::exit::Exit;
use crate::ui;

/// The variable by which a shell's script says that it asks for candidates.
const VARIABLE: &str = "PGHA_COMPLETE";

/// The program's own name: kubectl's completion never asks for it, a person may.
const PROGRAM: &str = "kubectl-pgha";

/// What kubectl runs to complete `kubectl pgha`. A file of this name has to be on the PATH.
const KUBECTL_HELPER: &str = "\
#!/bin/sh
# kubectl_complete-pgha: kubectl runs this to complete `kubectl pgha`.
exec kubectl-pgha __complete \"$@\"
";

/// Runs the command.
pub(crate) fn main(args: &CompletionArgs) -> Exit {
    let script = match args.shell {
        Shell::Kubectl => Some(KUBECTL_HELPER.to_owned()),
        Shell::Bash => script(&Bash),
        Shell::Zsh => script(&Zsh),
        Shell::Fish => script(&Fish),
        Shell::Powershell => script(&Powershell),
    };
    match script {
        Some(script) => {
            ui::print(&script);
            Exit::Done
        }
        None => Exit::Unexpected,
    }
}

fn script(shell: &dyn EnvCompleter) -> Option<String> {
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .ok()?;
    String::from_utf8(script).ok()
}
