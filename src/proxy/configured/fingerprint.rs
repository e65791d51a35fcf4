//! Fingerprints of a configuration and of all files that it names.

use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest;

use crate::config::{AdminToken, Config, IdentityProviderConfig, Role};

/// Identifies a state of a configuration.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint from the text of a configuration, the environment variables that it uses and
    /// the files that it names.
    pub(super) fn new(config: &Config) -> Self {
        let mut digest = digest::Context::new(&digest::SHA256);
        digest.update(config.digest());
        for path in named_files(config) {
            digest.update(path.as_os_str().as_encoded_bytes());
            // The code that needs a file reports that it cannot be read.
            digest.update(&Self::for_file(path).unwrap_or_default().0);
        }
        Self::finish(digest)
    }

    fn for_file(path: &Path) -> std::io::Result<Self> {
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

/// Returns the files that a configuration names. Add new keys that name files here.
fn named_files(config: &Config) -> impl Iterator<Item = &Path> {
    let (mail, providers) = match &config.access.role {
        Role::Issuing { mail, mail_template, identity_providers, .. } => {
            (Some((mail, mail_template)), identity_providers.as_slice())
        }
        Role::Verifying { .. } => (None, [].as_slice()),
    };
    let providers = providers.iter().flat_map(IdentityProviderConfig::files);
    let mail = mail.into_iter().flat_map(|(mail, template)| mail.files().chain(template.files()));
    let token = config.admin.as_ref().and_then(|admin| match &admin.token {
        AdminToken::File(path) => Some(path.as_path()),
        AdminToken::Value(_) => None,
    });
    let countries = config.access.facts.geoip_database.as_deref();
    let authorities =
        config.ingress.iter().filter_map(|rule| rule.origin_request.ca_pool.as_deref());
    mail.chain(providers).chain(token).chain(countries).chain(authorities)
}
