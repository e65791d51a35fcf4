//! Small tools that several rooms use.

pub(crate) mod deferred;
