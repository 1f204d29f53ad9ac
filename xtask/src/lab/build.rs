//! The release build of captured, which is what the lab runs.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};

use super::command;

/// The release build of captured, made from the sources as they are now, once for the process.
///
/// # Errors
/// The build failed; with what the compiler said.
pub fn captured() -> Result<PathBuf> {
    captured_with(&mut |_line| {})
}

/// As [`captured`], with every line that cargo writes handed over as it comes.
///
/// # Errors
/// As [`captured`].
pub fn captured_with(on_line: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    // Whoever comes meanwhile waits here for the build.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.as_ref() {
        return Ok(path.clone());
    }
    build(on_line)?;
    let path = target_directory().join("release/captured");
    Ok(built.insert(path).clone())
}

/// Top of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target_directory() -> PathBuf {
    workspace().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn build(on_line: &mut dyn FnMut(&str)) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(workspace());
    build.args(["build", "--release", "--package", "capture-user", "--bin", "captured"]);
    build.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let what = command::line(&build);
    let mut child = build.spawn().with_context(|| format!("cannot start `{what}`"))?;
    let said = child.stderr.take().map(|pipe| tell(pipe, on_line)).unwrap_or_default();
    let status = child.wait().with_context(|| format!("cannot wait for `{what}`"))?;
    if !status.success() {
        bail!("`{what}`: {status}:\n{}", said.trim_end());
    }
    Ok(())
}

/// Hands over the lines of a pipe as they come, and returns them all.
fn tell(pipe: impl Read, on_line: &mut dyn FnMut(&str)) -> String {
    let mut said = String::new();
    for line in BufReader::new(pipe).lines() {
        // Bytes that are no text end the telling; the status still tells success.
        let Ok(line) = line else { break };
        on_line(&line);
        said.push_str(&line);
        said.push('\n');
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_as_they_come_and_kept() {
        let mut lines = Vec::new();
        let said = tell(&b"Compiling a\nerror: b"[..], &mut |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["Compiling a", "error: b"]);
        assert_eq!(said, "Compiling a\nerror: b\n");
    }

    #[test]
    fn the_workspace_holds_the_daemon() {
        assert!(workspace().join("capture-user/Cargo.toml").is_file());
        assert!(target_directory().is_absolute());
    }
}
