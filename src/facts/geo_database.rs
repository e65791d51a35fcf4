//! Countries of addresses, from a database file.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};

use super::country_code::CountryCodes;
use super::{FactSource, RequestView};
use crate::address::Country;
use crate::clock::Timestamp;
use crate::metrics;

/// Countries of addresses, from a file in MaxMind's format: GeoLite2 Country or City, GeoIP2, or
/// any other that contains `country.iso_code`.
///
/// You supply the file: MaxMind's licence requires an account and regular updates. It is read
/// into memory whole; [`reload`](Self::reload) loads a newer one without a restart. Clones share
/// one database.
///
/// The country is where the address is used. If the file contains only the country of registration,
/// or a code that is not assigned (`EU`, `AP`), the country is unknown.
///
/// ```no_run
/// use tower_access::Access;
/// use tower_access::facts::GeoDatabase;
///
/// let countries = GeoDatabase::open("/var/lib/GeoIP/GeoLite2-Country.mmdb")?;
/// #
/// let builder = Access::builder().fact_source(countries.clone());
/// // In the background, when there is a new file:
/// countries.reload()?;
/// # Ok::<(), tower_access::facts::GeoDatabaseError>(())
/// ```
///
/// A file that was built more than 60 days ago is still used, with one log line about it.
#[derive(Clone)]
pub struct GeoDatabase(Arc<Shared>);

struct Shared {
    path: PathBuf,
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    reader: Reader<Vec<u8>>,
    built_at: Timestamp,
    country_codes: CountryCodes,
    /// Whether the log already reported that it is old, or damaged.
    said_stale: AtomicBool,
    said_broken: AtomicBool,
}

impl GeoDatabase {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is larger than 2 GiB, is not a database, or contains no countries.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, GeoDatabaseError> {
        let path = path.into();
        let loaded = ArcSwap::from_pointee(Loaded::open(&path)?);
        Ok(Self(Arc::new(Shared { path, loaded })))
    }

    /// Reads the file again. Blocks while it reads: call it outside of request handling.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); the previous database then stays in use.
    pub fn reload(&self) -> Result<(), GeoDatabaseError> {
        let loaded = Loaded::open(&self.0.path)?;
        self.0.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// Returns the country of an address; `None` if the file does not contain it.
    #[must_use]
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.0.loaded.load().country(&self.0.path, address)
    }

    /// Returns the time at which the file was built.
    #[must_use]
    pub fn built_at(&self) -> Timestamp {
        self.0.loaded.load().built_at
    }
}

impl FactSource for GeoDatabase {
    fn country(&self, request: &RequestView<'_>) -> Option<Country> {
        let loaded = self.0.loaded.load();
        loaded.check_age(&self.0.path, request.now());
        loaded.country(&self.0.path, request.address()?)
    }
}

impl fmt::Debug for GeoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeoDatabase")
            .field("path", &self.0.path)
            .field("built_at", &self.built_at())
            .finish()
    }
}

impl Loaded {
    fn open(path: &Path) -> Result<Self, GeoDatabaseError> {
        let refuse = |cause| GeoDatabaseError { path: path.to_owned(), cause };
        let content = read(path).map_err(|error| refuse(Cause::Read(error)))?;
        let reader = Reader::from_source(content).map_err(|error| refuse(Cause::Format(error)))?;
        if !has_countries(&reader).map_err(|error| refuse(Cause::Format(error)))? {
            return Err(refuse(Cause::NoCountries(reader.metadata().database_type.clone())));
        }
        let built_at = Timestamp::from_unix_seconds(reader.metadata().build_epoch);
        let (said_stale, said_broken) = (AtomicBool::new(false), AtomicBool::new(false));
        metrics::geo_database_stale(false);
        let country_codes = CountryCodes::default();
        Ok(Self { reader, built_at, country_codes, said_stale, said_broken })
    }

    fn country(&self, path: &Path, address: IpAddr) -> Option<Country> {
        let code = self
            .reader
            .lookup(address.to_canonical())
            .and_then(|found| found.decode_path::<&str>(&ISO_CODE));
        match code {
            Ok(code) => self.country_codes.read(code?, path.display()),
            Err(error) => {
                // An IPv6 lookup in an IPv4-only file is not damage.
                let is_damage = !matches!(error, MaxMindDbError::InvalidInput { .. });
                if is_damage && !self.said_broken.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        %error, path = %path.display(),
                        "the country database is damaged, so countries are unknown; replace the file"
                    );
                }
                None
            }
        }
    }

    fn check_age(&self, path: &Path, now: Timestamp) {
        let age = now.since(self.built_at);
        if age > STALE_AFTER && !self.said_stale.swap(true, Ordering::Relaxed) {
            metrics::geo_database_stale(true);
            tracing::warn!(
                days = age.as_secs() / 86_400, path = %path.display(),
                "the country database is more than 60 days old; download a newer file"
            );
        }
    }
}

/// The error for an unusable country database.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct GeoDatabaseError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("not a MaxMind database: {0}")]
    Format(MaxMindDbError),
    #[error("the database type {0:?} contains no countries; use GeoLite2-Country or GeoLite2-City")]
    NoCountries(String),
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(MAX_DATABASE_BYTES + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= MAX_DATABASE_BYTES) {
        Ok(content)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 2 GiB"))
    }
}

/// Returns whether any of the first networks has a country.
fn has_countries(reader: &Reader<Vec<u8>>) -> Result<bool, MaxMindDbError> {
    for network in reader.networks(WithinOptions::default())?.take(SAMPLED_NETWORKS) {
        if network?.decode_path::<&str>(&ISO_CODE)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

const ISO_CODE: [PathElement<'_>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];
const MAX_DATABASE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const SAMPLED_NETWORKS: usize = 10_000;
/// New files are published twice a week; networks change hands slowly.
const STALE_AFTER: Duration = Duration::from_secs(60 * 86_400);
