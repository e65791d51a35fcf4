//! The wire format of questions and responses.

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The body of a question, and of a response.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Envelope {
    pub(crate) token: String,
}

/// The claims of a question.
///
/// It has no audience, no type and no top-level email, so it cannot be mistaken for a token of the
/// user it describes.
#[derive(Debug, Serialize)]
pub(crate) struct QuestionClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    pub(crate) nonce: &'a str,
    pub(crate) identity: &'a serde_json::Value,
}

/// The claims that are read from a question.
#[derive(Debug, Deserialize)]
pub(crate) struct ReceivedQuestionClaims {
    pub(crate) exp: Seconds,
    pub(crate) nonce: String,
    pub(crate) identity: serde_json::Map<String, serde_json::Value>,
}

/// The claims of a response.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AnswerClaims {
    pub(crate) success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iat: Option<Seconds>,
    pub(crate) exp: Seconds,
    pub(crate) nonce: String,
}

/// Seconds since 1970; a fraction is dropped.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Seconds(pub(crate) u64);

impl Seconds {
    pub(crate) fn from_timestamp(time: Timestamp) -> Self {
        Self(time.as_unix_seconds())
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp::from_unix_seconds(self.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole = number.as_u64().or_else(|| {
            let seconds =
                number.as_f64().filter(|seconds| (0.0..MAX_EXACT_SECONDS).contains(seconds))?;
            Some(seconds.floor() as u64)
        });
        whole.map(Self).ok_or_else(|| serde::de::Error::custom("not a time"))
    }
}

/// Reads a JSON object; serde would also accept a list.
pub(crate) fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Above 2^53 a double cannot represent every second.
const MAX_EXACT_SECONDS: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_12_an_answer_says_each_thing_once_and_in_its_type() {
        let read = |json: &str| object::<AnswerClaims>(json.as_bytes());
        let good = read(r#"{"success":true,"exp":7.9,"nonce":"n","more":[1]}"#).unwrap();
        assert_eq!((good.success, good.exp.0, &*good.nonce), (true, 7, "n"));
        for json in [
            r#"{"success":"true","exp":7,"nonce":"n"}"#,
            r#"{"success":1,"exp":7,"nonce":"n"}"#,
            r#"{"success":true,"success":true,"exp":7,"nonce":"n"}"#,
            r#"{"success":true,"exp":-7,"nonce":"n"}"#,
            r#"{"success":true,"exp":"7","nonce":"n"}"#,
            r#"{"success":true,"exp":7,"nonce":7}"#,
            r#"{"success":true,"exp":7}"#,
            r#"{"success":true,"nonce":"n"}"#,
            r#"[true,1,7,"n"]"#,
            "",
        ] {
            assert!(read(json).is_none(), "{json}");
        }
    }
}
