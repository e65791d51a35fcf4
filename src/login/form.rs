//! Queries and forms, within bounds.

use url::form_urlencoded;

/// The fields of a query or of an `application/x-www-form-urlencoded` body.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads fields: at most 32, in at most 16 KiB.
    ///
    /// # Errors
    ///
    /// If there are more.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, FieldError> {
        Self::parse_within(MAX_FORM_BYTES, text)
    }

    /// Reads the fields of a query: at most 32, in at most 32 KiB. The longest return target takes
    /// 24 KiB if all its characters are escaped.
    ///
    /// # Errors
    ///
    /// If there are more.
    pub(crate) fn parse_query(text: &[u8]) -> Result<Self, FieldError> {
        Self::parse_within(2 * MAX_FORM_BYTES, text)
    }

    /// Reads fields: at most 32, in at most so many bytes.
    ///
    /// # Errors
    ///
    /// If there are more.
    pub(crate) fn parse_within(longest: usize, text: &[u8]) -> Result<Self, FieldError> {
        if text.len() > longest {
            return Err(FieldError);
        }
        let fields: Vec<_> = form_urlencoded::parse(text).take(MAX_FIELDS + 1).collect();
        if fields.len() > MAX_FIELDS {
            return Err(FieldError);
        }
        Ok(Self(fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect()))
    }

    /// Returns the value of a field, if present.
    ///
    /// # Errors
    ///
    /// If the field is repeated: two readers could use different values.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, FieldError> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| &**value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(FieldError),
        }
    }

    /// Returns the value of a required field.
    ///
    /// # Errors
    ///
    /// If the field is missing, empty or repeated.
    pub(crate) fn required(&self, name: &str) -> Result<&str, FieldError> {
        self.one(name)?.filter(|value| !value.is_empty()).ok_or(FieldError)
    }
}

/// The error of a query or form that is too large, lacks a field or repeats one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a field is missing, repeated or too large")]
pub(crate) struct FieldError;

pub(crate) const MAX_FORM_BYTES: usize = 16 * 1024;
const MAX_FIELDS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otp_06_repeated_fields_are_refused() {
        let fields = Fields::parse(b"email=a%40b.example&nonce=1&email=c").unwrap();
        assert_eq!(fields.one("email"), Err(FieldError));
        assert_eq!(fields.required("nonce"), Ok("1"));
        assert_eq!(fields.one("code"), Ok(None));
        assert_eq!(fields.required("code"), Err(FieldError));
    }

    #[test]
    fn proto_08_large_forms_are_refused() {
        assert!(Fields::parse(&[b'a'; MAX_FORM_BYTES + 1]).is_err());
        assert!(Fields::parse("a=1&".repeat(33).as_bytes()).is_err());
    }
}
