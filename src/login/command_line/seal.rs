//! The NaCl box that a command-line client opens: Curve25519, XSalsa20, Poly1305.

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use salsa20::cipher::consts::U10;
use salsa20::hsalsa;
use zeroize::Zeroizing;

use super::key::{ClientKey, Sealed};
use crate::login::Refusal;
use crate::random::{Random, RandomUnavailable};
use crate::store::StoreError;

/// Seals a text for a client, with a fresh key and nonce.
pub(super) fn seal_for(
    text: &[u8],
    client: ClientKey,
    random: &dyn Random,
) -> Result<Sealed, Refusal> {
    Ok(seal(text, client, random)?)
}

fn seal(text: &[u8], client: ClientKey, random: &dyn Random) -> Result<Sealed, SealError> {
    let mut secret = Zeroizing::new([0; 32]);
    let mut nonce = [0; 24];
    random.fill(&mut *secret)?;
    random.fill(&mut nonce)?;
    let own = PrivateKey::from_private_key(&X25519, &*secret).map_err(|_| SealError::Key)?;
    let public = own.compute_public_key().map_err(|_| SealError::Key)?;
    // The agreement fails for a client's key of small order.
    let peer = UnparsedPublicKey::new(&X25519, client.0);
    let key = agree(&own, peer, SealError::Key, |shared| {
        let shared = Zeroizing::new(<[u8; 32]>::try_from(shared).map_err(|_| SealError::Key)?);
        let key: [u8; 32] = hsalsa::<U10>((&*shared).into(), &[0; 16].into()).into();
        Ok(Zeroizing::new(key))
    })?;
    let cipher = XSalsa20Poly1305::new((&*key).into());
    let mut sealed = text.to_vec();
    let tag = cipher
        .encrypt_in_place_detached(&nonce.into(), b"", &mut sealed)
        .map_err(|_| SealError::Cipher)?;
    Ok(Sealed {
        service_public_key: URL_SAFE.encode(public.as_ref()),
        text: STANDARD.encode([&nonce[..], &tag, &sealed].concat()),
    })
}

/// The error of a text that could not be sealed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum SealError {
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error("key agreement failed: the client's key is invalid")]
    Key,
    #[error("the cipher failed")]
    Cipher,
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Key => Self::BadRequest,
            SealError::Random(_) | SealError::Cipher => StoreError::new(error).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::random::{SystemRandom, to_hex};

    /// Hands out what it was given.
    #[derive(Debug)]
    struct Given(Mutex<Vec<u8>>);

    impl Random for Given {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
            let mut left = self.0.lock().unwrap();
            bytes.copy_from_slice(&left.drain(..bytes.len()).collect::<Vec<_>>());
            Ok(())
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Alice's box for Bob, of the NaCl distribution (`tests/box.c`), which libsodium makes as well.
    #[test]
    fn the_box_is_that_of_nacl() {
        let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
        let bob = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
        let nonce = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
        let message = "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc\
                       e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31\
                       0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde\
                       048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864\
                       5e0705";
        let boxed = "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce\
                     48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972\
                     71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae\
                     90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3\
                     7973f622a43d14a6599b1f654cb45a74e355a5";
        let random = Given(Mutex::new(bytes(&format!("{alice}{nonce}"))));
        let bob = ClientKey(bytes(bob).try_into().unwrap());
        let sealed = seal(&bytes(message), bob, &random).unwrap();
        let text = STANDARD.decode(&sealed.text).unwrap();
        assert_eq!(to_hex(&text), format!("{nonce}{boxed}"));
        let alice_public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(to_hex(&URL_SAFE.decode(&sealed.service_public_key).unwrap()), alice_public);
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        let one = {
            let mut one = [0; 32];
            one[0] = 1;
            one
        };
        for key in [[0; 32], one] {
            assert!(matches!(seal(b"text", ClientKey(key), &SystemRandom), Err(SealError::Key)));
        }
    }
}
