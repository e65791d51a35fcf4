//! `access.key_rotation`: how signing keys follow one another.

use crate::application::MAX_SESSION_DURATION;
use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::{Read, Shape, Time, document, hours, millis, seconds};
use crate::issuer::{KeyRotation, RsaKeySize};

document! {
    /// Rotation of the signing keys.
    pub(in crate::config) struct Rotation in "access.key_rotation" {
        /// Time for which a key signs.
        "interval" interval: Time<{ hours(24) }, { hours(8_760) }> {
            default: "1008h", example: "504h", cloudflare: "key_rotation_interval_days",
        }
        /// Time for which a key is published before it signs, at most half of the interval.
        "announce" announce: Time<{ seconds(5) }, { hours(168) }> { default: "1h", example: "2h", }
        /// Time for which tokens of a key still verify after the key has stopped signing.
        "overlap" overlap: Time<0, { millis(MAX_SESSION_DURATION) }> { default: "168h", example: "24h", }
        /// Bits of new RSA keys.
        "rsa_bits" rsa_bits: RsaKeySize { default: "2048", example: "3072", }
    }
}

impl Read for RsaKeySize {
    type Output = Self;

    fn shape() -> Shape {
        let one = |bits| Shape::Integer { min: bits, max: bits };
        Shape::AnyOf([2048, 3072, 4096].map(one).into())
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        match reader.read::<u64>(place, &[])? {
            2048 => Some(Self::Bits2048),
            3072 => Some(Self::Bits3072),
            4096 => Some(Self::Bits4096),
            bits => {
                let message = "is not a supported key size; write 2048, 3072 or 4096";
                reader.error(place, format_args!("{bits} {message}"));
                None
            }
        }
    }
}

impl From<Rotation> for KeyRotation {
    fn from(document: Rotation) -> Self {
        let rotation = document.interval.apply(Self::default(), Self::interval);
        let rotation = document.announce.apply(rotation, Self::announce);
        let rotation = document.overlap.apply(rotation, Self::overlap);
        document.rsa_bits.apply(rotation, Self::key_size)
    }
}
