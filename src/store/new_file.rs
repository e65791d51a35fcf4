//! Files with secrets in them: made whole or not at all, and for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Makes a file beside, and gives it its name when it is whole: whoever is killed meanwhile leaves
/// no half a file. Where somebody else is faster, their file stays.
pub(crate) fn make(
    path: &Path,
    write: impl FnOnce(&Path, File) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&beside);
    let made = create(&beside).and_then(|file| write(&beside, file)).and_then(|()| {
        fs::hard_link(&beside, path).or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            // Not every file system has links.
            _ => fs::rename(&beside, path),
        })
    });
    let _ = fs::remove_file(&beside);
    made.and_then(|()| sync_folder(path))
}

/// Puts these bytes in the place of a file, whole or not at all: for the owner alone, and on the disk
/// when this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let written = create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.and_then(|()| sync_folder(path))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Has the name of a new file survive a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
