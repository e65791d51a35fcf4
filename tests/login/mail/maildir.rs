//! Mail that is put into a folder.

use std::path::{Path, PathBuf};

use tower_access::login::mail::{InvalidSender, MaildirMailer, Mailer};

use super::{SENDER, mail};

/// Removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tower-access-maildir-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_mail_appears_whole_in_new() {
    let folder = Folder::new("new");
    let mailer = MaildirMailer::new(&folder.0, SENDER).unwrap();
    mailer.check().await.unwrap();
    for folder in ["tmp", "new", "cur"].map(|name| folder.names(name)) {
        assert!(folder.is_empty(), "{folder:?}");
    }
    let mails = (0..20).map(|_| mailer.deliver(mail()));
    for delivered in futures_util::future::join_all(mails).await {
        delivered.unwrap();
    }
    assert!(folder.names("tmp").is_empty());
    let names = folder.names("new");
    assert_eq!(names.len(), 20);
    for name in &names {
        // TIME.UNIQUE.HOST, without what a mailbox reader adds.
        let [time, unique, host] = name.splitn(3, '.').collect::<Vec<_>>()[..] else { panic!() };
        assert!(time.parse::<u64>().is_ok() && unique.starts_with('P') && !host.is_empty());
        assert!(!name.contains([':', '/', ' ']), "{name}");
    }
    let text = std::fs::read_to_string(folder.0.join("new").join(&names[0])).unwrap();
    for part in ["To: ada@example.com\n", "From: Access <access@example.com>\n", "048213"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains('\r'));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_mail() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("mode");
    MaildirMailer::new(&folder.0, SENDER).unwrap().deliver(mail()).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.0.join("new"))), (0o700, 0o700));
    assert_eq!(mode(&folder.0.join("new").join(&folder.names("new")[0])), 0o600);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_may_be_there_later() {
    let folder = Folder::new("missing");
    let mailer = MaildirMailer::new(folder.0.join("a/b"), SENDER).unwrap();
    for error in [mailer.deliver(mail()).await.unwrap_err(), mailer.check().await.unwrap_err()] {
        assert!(!error.is_permanent() && !error.is_delayed(), "{error}");
        assert!(error.to_string().contains("a/b: "), "{error}");
    }
    std::fs::create_dir_all(folder.0.join("a")).unwrap();
    mailer.deliver(mail()).await.unwrap();
    assert_eq!(folder.names("a/b/new").len(), 1);
    assert_eq!(MaildirMailer::new(&folder.0, "nobody").unwrap_err(), InvalidSender);
}
