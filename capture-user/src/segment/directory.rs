//! The segment directory and who may write to it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use nix::unistd::{AccessFlags, access};

use super::error::Error;

const LOCK: &str = ".lock";

/// The directory is ours until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Makes the directory if it is missing, checks that it can be written to, and takes it for this
/// process.
///
/// # Errors
/// It cannot be made, is not a directory, cannot be written to, or another process has it.
pub fn prepare(directory: &Path) -> Result<DirectoryLock, Error> {
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Error::NotADirectory { path: directory.into() });
        }
        Ok(_) => {}
        Err(_) => DirBuilder::new()
            .recursive(true)
            // Packets are secrets.
            .mode(0o750)
            .create(directory)
            .map_err(|source| Error::CreateDirectory { path: directory.into(), source })?,
    }
    let not_writable = |source| Error::NotWritable { path: directory.into(), source };
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|errno| not_writable(errno.into()))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(directory.join(LOCK))
        .map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Locked { path: directory.into(), holder: holder(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(not_writable(source)),
    }
    if let Err(error) = sign(&mut file) {
        // The lock holds all the same; only the message to another daemon knows less.
        log::warn!("{}: cannot write the process id: {error}", directory.join(LOCK).display());
    }
    Ok(DirectoryLock { _file: file })
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        let lock = prepare(&directory).unwrap();
        let refused = prepare(&directory).unwrap_err();
        assert!(
            matches!(refused, Error::Locked { holder: Some(pid), .. } if pid == std::process::id())
        );
        let text = refused.to_string();
        assert!(text.contains(directory.to_str().unwrap()), "{text}");
        drop(lock);
        prepare(&directory).unwrap();
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(prepare(file.path()), Err(Error::NotADirectory { .. })));
        let below = file.path().join("below");
        assert!(matches!(prepare(&below), Err(Error::CreateDirectory { .. })));
    }

    #[test]
    fn a_directory_that_takes_no_files_is_refused() {
        // Not even root creates files in /proc.
        assert!(matches!(prepare(Path::new("/proc/self")), Err(Error::NotWritable { .. })));
    }
}
