//! A store shared by several processes: Redis or Valkey.
//!
//! `builder` has the settings, `connection` opens and reopens the connection, `scripts` has the
//! operations that need more than one command.

mod builder;
mod connection;
mod failure;
mod password;
mod scripts;
mod tls;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, FromRedisValue, cmd};
use tokio::time::Instant;

pub use self::builder::RedisStoreBuilder;
pub use self::password::RedisPassword;

use self::connection::Connection;
use self::failure::Failure;
use self::scripts::Script;
use crate::random::{Random, SystemRandom};

use super::{RedisUrl, Store, StoreChange, StoreError, StoreFuture, StoreOutcome, WriteCondition};

/// A store in a Redis (7.0 or later) or Valkey server, for any number of processes.
///
/// ```
/// use tower_access::store::{RedisPassword, RedisStore};
///
/// # fn password() -> String { String::new() }
/// let store = RedisStore::builder("rediss://redis.example.com".parse()?)
///     .login("access", RedisPassword::new(password()))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The connection opens at the first use, and again after it is lost. While the server is
/// unavailable every method returns an error, within two seconds
/// ([`timeout`](RedisStoreBuilder::timeout)); no restart is needed when it is back. An operation is
/// not sent again when the connection breaks: the server may have executed it.
///
/// # Requirements on the server
///
/// - **It must not lose keys**: an evicted or lost key may be a logout. Set
///   `maxmemory-policy noeviction`, and `appendonly yes` so that a restart loses nothing
///   (with `appendfsync always` not a single change). `maxmemory` bounds the memory: a full server
///   returns an error. In addition, a set holds at most 50,000 members.
/// - **Every operation touches exactly one key**, and keys need no common hash slot: behind a
///   cluster proxy one node runs each operation. (This client does not follow cluster redirects.)
/// - **The server's clock counts lifetimes**, in milliseconds.
/// - A user needs these commands for keys with the prefix: `GET`, `SET`, `DEL`, `GETDEL`, `INCR`,
///   `INCRBY`, `PEXPIRE`, `PTTL`, `HGET`, `HSET`, `HDEL`, `HLEN`, `HGETALL`, `HEXISTS`, and `EVAL`,
///   `EVALSHA`, `TIME`; `SELECT` for a database other than 0.
/// - Replication is asynchronous: after a failover the last confirmed changes may be missing.
pub struct RedisStore {
    connection: Connection,
    prefix: String,
    members_per_set: usize,
}

/// The type of a key's record: records of different types may have the same name.
#[derive(Clone, Copy)]
enum KeyKind {
    Value,
    Counter,
    Set,
    Channel,
}

impl RedisStore {
    /// Returns the builder of a store at this URL. It does not connect yet.
    pub fn builder(url: RedisUrl) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    fn key(&self, kind: KeyKind, name: &str) -> String {
        let letter = match kind {
            KeyKind::Value => 'v',
            KeyKind::Counter => 'c',
            KeyKind::Set => 's',
            KeyKind::Channel => 'n',
        };
        format!("{}{letter}:{name}", self.prefix)
    }

    async fn run<T: FromRedisValue + Send>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.connection.run(command).await.map_err(|failure| self.failed(&failure))
    }

    async fn evaluate<T: FromRedisValue + Send>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        let run = self.connection.evaluate(script, key, arguments);
        run.await.map_err(|failure| self.failed(&failure))
    }

    async fn write(
        &self,
        key: &str,
        value: &[u8],
        lifetime: u64,
        condition: &WriteCondition,
    ) -> Result<bool, StoreError> {
        let key = self.key(KeyKind::Value, key);
        let mut set = cmd("SET");
        set.arg(&key).arg(value).arg("PX").arg(lifetime);
        match condition {
            WriteCondition::Always => self.run::<()>(&set).await.map(|()| true),
            // Nil if there was a value, `OK` otherwise.
            WriteCondition::Absent => {
                set.arg("NX");
                Ok(self.run::<Option<String>>(&set).await?.is_some())
            }
            WriteCondition::Equals(present) => {
                let lifetime = lifetime.to_string();
                let arguments = [present, value, lifetime.as_bytes()];
                self.evaluate(&scripts::REPLACE, &key, &arguments).await
            }
        }
    }

    async fn add(&self, key: &str, add: u64, lifetime: u64) -> Result<u64, StoreError> {
        let key = self.key(KeyKind::Counter, key);
        if add == 0 {
            let mut get = cmd("GET");
            get.arg(key);
            return Ok(self.run::<Option<u64>>(&get).await?.unwrap_or(0));
        }
        let (add, lifetime) = (add.to_string(), lifetime.to_string());
        self.evaluate(&scripts::COUNT, &key, &[add.as_bytes(), lifetime.as_bytes()]).await
    }

    fn failed(&self, failure: &Failure) -> StoreError {
        StoreError::new(format!("{}: {failure}", self.connection.url()))
    }
}

impl Store for RedisStore {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        Box::pin(async move {
            match change {
                StoreChange::Write { key, value, lifetime, condition } => {
                    let written = self.write(&key, &value, milliseconds(lifetime), &condition);
                    written.await.map(StoreOutcome::Written)
                }
                StoreChange::Take { key } => {
                    let mut take = cmd("GETDEL");
                    take.arg(self.key(KeyKind::Value, &key));
                    self.run(&take).await.map(StoreOutcome::Taken)
                }
                StoreChange::Count { key, add, lifetime } => {
                    let sum = self.add(&key, add, milliseconds(lifetime));
                    sum.await.map(StoreOutcome::Sum)
                }
                StoreChange::PutMember { set, member, value, lifetime } => {
                    let lifetime = milliseconds(lifetime).to_string();
                    let most = self.members_per_set.to_string();
                    let arguments =
                        [member.as_bytes(), &value, lifetime.as_bytes(), most.as_bytes()];
                    let key = self.key(KeyKind::Set, &set);
                    match self.evaluate(&scripts::PUT_MEMBER, &key, &arguments).await? {
                        true => Ok(StoreOutcome::Written(true)),
                        false => Err(StoreError::new("full")),
                    }
                }
                StoreChange::TakeMember { set, member } => {
                    let key = self.key(KeyKind::Set, &set);
                    let (take, member) = (&scripts::TAKE_MEMBER, &[member.as_bytes()]);
                    self.evaluate(take, &key, member).await.map(StoreOutcome::Taken)
                }
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        let mut get = cmd("GET");
        get.arg(self.key(KeyKind::Value, key));
        Box::pin(async move { self.run(&get).await })
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        Box::pin(async move {
            let key = self.key(KeyKind::Set, set);
            let found: Vec<Bytes> = self.evaluate(&scripts::MEMBERS, &key, &[]).await?;
            let mut found = found.into_iter();
            let mut members = Vec::with_capacity(found.len() / 2);
            while let (Some(member), Some(value)) = (found.next(), found.next()) {
                let member = String::from_utf8(member.into()).map_err(StoreError::new)?;
                members.push((member, value));
            }
            Ok(members)
        })
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut drawn = [0; 4];
            SystemRandom.fill(&mut drawn).map_err(StoreError::new)?;
            let first = first_number(u32::from_le_bytes(drawn)).to_string();
            let key = self.key(KeyKind::Channel, channel);
            self.evaluate::<u64>(&scripts::NOTIFY, &key, &[first.as_bytes()]).await.map(drop)
        })
    }

    /// Polls, which needs no connection of its own and misses nothing while one is lost. Tolerates an
    /// outage no longer than the timeout of an operation.
    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        let mut get = cmd("GET");
        get.arg(self.key(KeyKind::Channel, channel));
        Box::pin(async move {
            let mut answered = Instant::now();
            loop {
                match self.run::<Option<u64>>(&get).await {
                    Ok(number) if number.unwrap_or(0) != seen => return Ok(number.unwrap_or(0)),
                    Ok(_) => answered = Instant::now(),
                    Err(error) if answered.elapsed() >= self.connection.timeout() => {
                        return Err(error);
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("url", self.connection.url())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Returns a lifetime in the server's range: at least one, and no more than it can add to a time.
fn milliseconds(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).clamp(1, MAX_LIFETIME)
}

/// Returns the first number of a channel, different after each reset of the server. The server's
/// integers are signed.
fn first_number(drawn: u32) -> u64 {
    u64::from((drawn >> 1).max(1)) << 32
}

/// A hundred years.
const MAX_LIFETIME: u64 = 100 * 365 * 86_400_000;
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_channels_are_above_those_that_count_and_below_the_sign() {
        for drawn in [0, 1, 2, u32::MAX / 2, u32::MAX] {
            let first = first_number(drawn);
            assert!((1 << 32..=i64::MAX as u64 - u64::from(u32::MAX)).contains(&first), "{drawn}");
        }
    }

    #[test]
    fn lifetimes_are_what_the_server_can_count() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_micros(2_500)), 2);
        assert_eq!(milliseconds(Duration::MAX), MAX_LIFETIME);
    }
}
