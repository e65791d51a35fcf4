//! A secret in plain text.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret that is sent to another server, such as a mail server. Never printed, compared in
/// constant time, and wiped when it is dropped.
///
/// ```
/// use tower_access::secret::SecretText;
///
/// let password = SecretText::from("correct horse".to_owned());
/// assert_eq!(format!("{password:?}"), "SecretText(***)");
/// assert_eq!(password.expose(), "correct horse");
/// ```
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// Returns the secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretText {}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(***)")
    }
}
