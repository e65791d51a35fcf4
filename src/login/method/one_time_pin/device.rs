//! `CF_Device`: a browser that has logged in with an address before.
//!
//! It grants no access. It only gives that browser counters of its own for that address, see
//! [`limits`](crate::login::limits).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity::Email;
use crate::random::{Random, RandomUnavailable};
use crate::secret::{equal, tag};

/// Issues a value for a browser that has just logged in.
pub(super) fn issue(
    key: &hmac::Key,
    email: &Email,
    random: &dyn Random,
) -> Result<String, RandomUnavailable> {
    let id = crate::random::hex::<16>(random)?;
    Ok(format!("{id}.{}", mac(key, &id, email.as_str())))
}

/// Returns the browser's id, if it has logged in with this address.
pub(super) fn recognise<'a>(key: &hmac::Key, email: &str, cookie: &'a str) -> Option<&'a str> {
    let (id, proof) = cookie.split_once('.')?;
    let known = id.len() == 32 && equal(proof.as_bytes(), mac(key, id, email).as_bytes());
    known.then_some(id)
}

fn mac(key: &hmac::Key, id: &str, email: &str) -> String {
    URL_SAFE_NO_PAD.encode(tag(key, &[id.as_bytes(), email.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use crate::secret::MasterSecret;

    #[test]
    fn a_device_is_known_for_its_own_address_only() {
        let key = MasterSecret::from_bytes([1; 32]).derive("device");
        let email: Email = "a@b.example".parse().unwrap();
        let cookie = issue(&key, &email, &SystemRandom).unwrap();
        assert!(recognise(&key, "a@b.example", &cookie).is_some());
        assert!(recognise(&key, "c@b.example", &cookie).is_none());
        let other = MasterSecret::from_bytes([2; 32]).derive("device");
        assert!(recognise(&other, "a@b.example", &cookie).is_none());
        for cookie in ["", ".", "x.y", &cookie[1..]] {
            assert!(recognise(&key, "a@b.example", cookie).is_none());
        }
    }
}
