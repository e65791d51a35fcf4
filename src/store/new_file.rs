//! Files with secrets in them: made whole or not at all, and for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
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
