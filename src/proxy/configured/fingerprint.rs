//! Telling one state of a configuration, and of all files that it names, from another.

use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest;

use crate::config::{AdminToken, Config, MailConfig, Role};

/// Tells one state of a configuration from another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads the files that a configuration names; beside them its text and the environment it asked
    /// for count.
    pub(super) fn of(config: &Config) -> Self {
        let mut digest = digest::Context::new(&digest::SHA256);
        digest.update(config.digest());
        for path in named_files(config) {
            digest.update(path.as_os_str().as_encoded_bytes());
            // One that cannot be read is reported by who needs it.
            digest.update(&Self::of_file(path).unwrap_or_default().0);
        }
        Self::finish(digest)
    }

    fn of_file(path: &Path) -> std::io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut digest = digest::Context::new(&digest::SHA256);
        let mut buffer = [0; 16 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Self::finish(digest)),
                length => digest.update(buffer.get(..length).unwrap_or_default()),
            }
        }
    }

    fn finish(digest: digest::Context) -> Self {
        let mut fingerprint = Self::default();
        for (to, from) in fingerprint.0.iter_mut().zip(digest.finish().as_ref()) {
            *to = *from;
        }
        fingerprint
    }
}

/// The files a configuration names, whose content counts. A key that names one is added here.
fn named_files(config: &Config) -> impl Iterator<Item = &Path> {
    let password = match &config.access.role {
        Role::Issuing { mail: MailConfig::Smtp(smtp), .. } => smtp.password_file.as_deref(),
        _ => None,
    };
    let token = config.admin.as_ref().and_then(|admin| match &admin.token {
        AdminToken::File(path) => Some(path.as_path()),
        AdminToken::Given(_) => None,
    });
    let countries = config.access.facts.geoip_database.as_deref();
    let authorities =
        config.ingress.iter().filter_map(|rule| rule.origin_request.ca_pool.as_deref());
    password.into_iter().chain(token).chain(countries).chain(authorities)
}
