//! `access.service_tokens`: the client ids of programs, and the hashes of their secrets.

use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::{Read, Shape, levels};
use crate::service_token::ServiceToken;

impl Read for ServiceToken {
    type Output = Self;

    fn shape() -> Shape {
        Shape::Mapping(levels::SERVICE_TOKEN)
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        if let Some(secret) = place.get("client_secret") {
            reader.error(
                &secret,
                "the secret itself does not belong in this file; write `client_secret_hash` with \
                 `sha256:` and 64 hexadecimal digits",
            );
            return None;
        }
        let token: Self = reader.read(place, &["name", "client_id", "client_secret_hash"])?;
        for (key, text) in [("name", &token.name), ("client_id", &token.client_id)] {
            if text.is_empty()
                && let Some(empty) = place.get(key)
            {
                reader.error(&empty, format_args!("`{key}` is empty"));
            }
        }
        Some(token)
    }
}
