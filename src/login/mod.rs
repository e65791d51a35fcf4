//! The login: one-time PIN, pages, mail.

pub mod mail;
pub mod pages;
