//! Running programs to their end, with errors that say what they said.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

/// A command line for messages.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end, `input` on its standard input, and returns whatever it said and
/// however it ended.
///
/// # Errors
/// The program could not be started or fed.
pub fn output(command: &mut Command, input: &[u8]) -> Result<Output> {
    let what = line(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{what}`"))?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        // A thread of its own: a program that talks before it has read everything would block.
        let feeder = scope.spawn(move || stdin.map_or(Ok(()), |mut pipe| pipe.write_all(input)));
        let output = child.wait_with_output().with_context(|| format!("cannot run `{what}`"))?;
        // A program that ends without reading its input closes the pipe; its status tells why.
        let _closed_early = feeder.join();
        Ok(output)
    })
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// It could not be started or fed, or ended with another status than 0; the message holds the
/// command line and what it wrote to its standard error.
pub fn run(command: &mut Command, input: &[u8]) -> Result<String> {
    let output = output(command, input)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}`: {}: {}", line(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_and_returns() {
        let input = vec![b'x'; 1 << 20];
        let echoed = run(&mut Command::new("cat"), &input).unwrap();
        assert_eq!(echoed.len(), input.len());
    }

    #[test]
    fn failures_name_the_command_and_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo wrong >&2; exit 3"]), b"");
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("`sh -c"), "{text}");
        assert!(text.contains("exit status: 3") && text.ends_with("wrong"), "{text}");
        let missing = run(&mut Command::new("no-such-program-here"), b"").unwrap_err();
        assert!(missing.to_string().contains("cannot start `no-such-program-here`"));
    }
}
