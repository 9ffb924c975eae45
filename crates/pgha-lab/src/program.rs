//! Runs programs, and says what was tried when one fails.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// A command that will run in a network namespace, with everything else (mounts, `/sys`) as it is here.
pub fn in_netns(netns: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{netns}"))
        .arg("--")
        .arg(program);
    command
}

/// Closes every descriptor but the standard three, and becomes the program. Not for `sh`: Debian's closes no number above 9.
const WITHOUT_INHERITED_FILES: &str = r#"for file in /proc/self/fd/*; do
  number=${file##*/}
  if (( number > 2 )); then exec {number}>&-; fi
done
exec "$@""#;

/// The same command for a process that outlives its caller: what the caller was given open stays with the caller. A lock of
/// `flock(1)`, for one, is held until the last process that has its file ends.
///
/// Only the program and its arguments are taken over.
pub fn without_inherited_files(command: &Command) -> Command {
    let mut wrapped = Command::new("bash");
    wrapped.args(["-c", WITHOUT_INHERITED_FILES, "bash"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped
}

/// Runs a command to its end and returns what it wrote to stdout.
///
/// # Errors
/// It cannot be started, or ends with another status than 0; the error holds the command line and its stderr.
pub fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    check(command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As [`output`], with `input` given on stdin.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> Result<String> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input says why on stderr, which is the better error.
        drop(stdin.write_all(input));
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("cannot wait for {}", line(command)))?;
    check(command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end with everything it writes going to the end of `log`.
///
/// # Errors
/// As [`output`]; the error holds the log's last lines.
pub fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open {}", log.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!(
            "{} ended with {status}\n{}",
            line(command),
            last_lines(log, 15)
        );
    }
    Ok(())
}

/// The last lines of a log file, under a heading with its path, for an error message.
pub fn last_lines(log: &Path, count: usize) -> String {
    const TAIL_BYTES: i64 = 16 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let size = file.metadata()?.len();
        if size > TAIL_BYTES.unsigned_abs() {
            file.seek(SeekFrom::End(-TAIL_BYTES))?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(count);
            format!(
                "the end of {}:\n  {}",
                log.display(),
                lines[from..].join("\n  ")
            )
        }
        Err(error) => format!("its log {} cannot be read: {error}", log.display()),
    }
}

/// The command line, for a message.
pub fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    format!("`{}`", words.join(" "))
}

fn check(command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{} ended with {}: {}",
        line(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

#[cfg(test)]
mod tests {
    use rustix::io::{FdFlags, fcntl_setfd};

    use super::*;

    #[test]
    fn a_failure_says_what_was_run_and_what_it_wrote() {
        let error = output(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("`sh -c"), "{error}");
        assert!(error.contains("no such thing"), "{error}");
    }

    #[test]
    fn input_is_given_and_output_returned() {
        assert_eq!(
            output_with_input(&mut Command::new("cat"), b"abc").unwrap(),
            "abc"
        );
    }
    #[test]
    fn a_daemon_keeps_no_file_that_its_caller_was_given_open() {
        let file = File::open("/dev/null").unwrap();
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        let mut list = Command::new("ls");
        list.arg("/proc/self/fd");
        let open_in = |command: &mut Command| output(command).unwrap().lines().count();
        // The standard three, and the folder that `ls` reads.
        assert!(open_in(&mut list) > 4);
        assert_eq!(open_in(&mut without_inherited_files(&list)), 4);
    }
}
