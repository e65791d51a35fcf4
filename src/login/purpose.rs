//! What a login is for.

use super::Flow;
use crate::application::CompiledApplication;

/// A login that begins: its application and its flow.
#[derive(Debug)]
pub(super) struct Purpose<'a> {
    pub(super) protected: &'a CompiledApplication,
    pub(super) flow: Flow,
}
