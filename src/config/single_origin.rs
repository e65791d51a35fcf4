//! cloudflared files that name one origin instead of rules of `ingress`.

use crate::application::CanonicalHost;

use super::reader::{NodeRef, Reader};
use super::tree::Value;

/// Keys for the origin of a file without `ingress`.
pub(super) const KEYS: &[&str] = &["url", "unix-socket", "hello-world"];

/// Refuses these keys, and prints the rules to write: the host must be named.
pub(super) fn refuse(reader: &mut Reader, root: &NodeRef<'_>) {
    for key in KEYS {
        let Some(place) = root.get(key) else { continue };
        if root.node.get("ingress").is_some() {
            reader.error_at(
                root.key_at(key),
                key,
                format_args!("`{key}` has no effect beside `ingress`; remove it"),
            );
            continue;
        }
        let written =
            place.node.text().map(|text| text.chars().take(MAX_CHARS).collect::<String>());
        let service = match (*key, written) {
            ("hello-world", _) => "hello_world".to_owned(),
            ("unix-socket", Some(path)) => format!("unix:{path}"),
            (_, Some(url)) if is_plain(&url) => url,
            _ => "http://localhost:8000".to_owned(),
        };
        let host = first_host(root).unwrap_or_else(|| "wiki.example.com".to_owned());
        reader.error_at(
            root.key_at(key),
            key,
            format_args!(
                "one origin without a host is not supported; write `ingress: [ {{ hostname: {host}, \
                 service: '{service}' }}, {{ service: 'http_status:404' }} ]`"
            ),
        );
    }
}

/// Returns the first host that an application names.
fn first_host(root: &NodeRef<'_>) -> Option<String> {
    let applications = root.get("access")?.get("applications")?;
    let Value::Sequence(applications) = &applications.node.value else { return None };
    let domain = applications.iter().find_map(|one| one.get("domain")?.text())?;
    let host = domain.split('/').next()?;
    host.parse::<CanonicalHost>().ok().map(|host| host.as_str().to_owned())
}

/// Whether a text can be quoted without escapes.
fn is_plain(url: &str) -> bool {
    url.contains("://") && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\'')
}

const MAX_CHARS: usize = 200;
