//! The ways to log in.

pub(in crate::login) mod one_time_pin;
