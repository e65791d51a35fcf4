//! The mail that carries a one-time PIN.

mod message;

pub use self::message::PinMail;
