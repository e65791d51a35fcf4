//! Files with secrets: written atomically, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Creates a file under a temporary name and renames it when complete, so that a killed process
/// leaves no partial file. An existing file is not replaced.
pub(crate) fn create(
    path: &Path,
    write: impl FnOnce(&Path, File) -> io::Result<()>,
) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".new-{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    // Left by a killed process with the same id.
    let _ = fs::remove_file(&temporary);
    let created =
        create_private(&temporary).and_then(|file| write(&temporary, file)).and_then(|()| {
            fs::hard_link(&temporary, path).or_else(|error| match error.kind() {
                ErrorKind::AlreadyExists => Ok(()),
                // Not every file system supports links.
                _ => fs::rename(&temporary, path),
            })
        });
    let _ = fs::remove_file(&temporary);
    created.and_then(|()| sync_folder(path))
}

/// Replaces a file atomically: readable by the owner only, and on the disk when this returns.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let written = create_private(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_folder(path))
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Flushes the folder, so that the name of a new file survives a power loss.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
