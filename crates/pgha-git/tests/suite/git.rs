//! Git's own program, and hooks, for the tests of whatever drives it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder);
    for variable in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end().to_owned()
}

pub(crate) fn configure(folder: &Path) {
    for (name, value) in [
        ("user.name", "Operator"),
        ("user.email", "operator@example.org"),
        ("commit.gpgsign", "false"),
        ("gc.auto", "0"),
    ] {
        git(folder, &["config", name, value]);
    }
}

/// A hook of a bare repository or of a clone; `$FOLDER` in it is the folder.
pub(crate) fn hook(folder: &Path, of: &Path, name: &str, script: &str) {
    let is_bare = of.join("HEAD").exists();
    let hooks = of.join(if is_bare { "hooks" } else { ".git/hooks" });
    fs::create_dir_all(&hooks).unwrap();
    program(folder, &hooks.join(name), script);
}

/// A shell script that can be run; `$FOLDER` in it is the folder.
pub(crate) fn program(folder: &Path, file: &Path, script: &str) {
    let folder = folder.display();
    fs::write(file, format!("#!/bin/sh\nFOLDER='{folder}'\n{script}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}
