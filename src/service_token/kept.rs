//! The service tokens the store defines, as this process mirrors them.
//!
//! | in the store | what it is |
//! | --- | --- |
//! | `service-token/ID` | the record of one token, changed by compare-and-set |
//! | set `service-tokens/all` | the ids there may be; what has no record is none |
//! | set `service-tokens-listed/all` | what files list: see `listed` |
//! | set `service-tokens-revoked/all` | secrets that are never good again: see `revoked` |
//! | `service-token-name/HASH` | a name that somebody is about to give, for a minute |
//! | set `service-token-uses/all` | when tokens were last used, by the hash of the client id |
//! | `service-token-warned/HASH-DAY` | the end of a token was warned of on this day |
//! | channel `service-tokens` | something changed |
//!
//! A record is the only thing that says what a token is: the index is written before a record and
//! taken after it, so that a program that dies between the two leaves a name too many and never a
//! token that nobody finds. Each record is read by itself: there are a thousand at most. While the store is away what was read last stays in force.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::listed::{REVOKED, Sharing, revoked_by};
use super::record::Record;
use super::revoked::{Fingerprint, Reason, RevokedSecret, RevokedSecrets};
use super::usage::{Usage, day, ends_soon};
use super::{KnownToken, LiveServiceTokens, ServiceTokens};
use crate::audit::{self, Event, EventKind};
use crate::changes::Changes;
use crate::clock::{Clock, Timestamp};
use crate::random::{Random, to_hex};
use crate::secret::sha256;
use crate::store::{Change, Companions, Follow, Store, StoreError, StoreFuture, follow};

/// What a process that issues has of the store's tokens.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) in_file: ServiceTokens,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Told when other tokens are in force.
    changes: Arc<Changes>,
    state: Mutex<State>,
    is_following: AtomicBool,
    /// Whether the store has what the file lists, which a process that has its keys there sees to.
    pub(super) is_listing: AtomicBool,
    companions: Companions,
}

/// What was read last, and changed here since.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<Box<str>, Record>,
    /// One more with every change made here: what was read across one is stale.
    changes: u64,
    /// The last tokens that were deleted here: a store that forgot everything does not get them back.
    deleted: VecDeque<Box<str>>,
    /// Secrets that are never good again. Nothing leaves it while the process runs.
    pub(super) revoked: RevokedSecrets,
    /// Those of them the store may not have.
    pub(super) unwritten: BTreeMap<Fingerprint, RevokedSecret>,
    /// What the file before listed and this one does not, while this one is not in force.
    pub(super) unlisted: Vec<(Fingerprint, RevokedSecret)>,
    /// Those not in force because another has the name, as the log has it.
    left_out: BTreeSet<Box<str>>,
    usage: HashMap<Box<str>, Arc<Usage>>,
}

impl Kept {
    /// Goes on with what is known of the store's tokens, where somebody knows it.
    pub(super) fn new(
        in_file: ServiceTokens,
        store: &Arc<dyn Store>,
        (clock, random, changes): (&Arc<dyn Clock>, &Arc<dyn Random>, &Arc<Changes>),
        earlier: Option<&Self>,
    ) -> Self {
        let mut state = earlier.map(|kept| kept.state().clone()).unwrap_or_default();
        let unlisted = earlier.map(|kept| revoked_by(&in_file, &kept.in_file, clock.now()));
        state.unlisted = unlisted.unwrap_or_default();
        Self {
            in_file,
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            changes: Arc::clone(changes),
            state: state.into(),
            is_following: AtomicBool::new(false),
            is_listing: AtomicBool::new(
                earlier.is_some_and(|kept| kept.is_listing.load(Ordering::Relaxed)),
            ),
            companions: Companions::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All records the store has.
    pub(super) async fn read_all(&self) -> Result<BTreeMap<Box<str>, Record>, StoreError> {
        let mut records = BTreeMap::new();
        for (id, _) in self.store.members(INDEX).await? {
            let Some(bytes) = self.store.get(&key(&id)).await? else { continue };
            match Record::read(&id, &bytes) {
                Some(record) => drop(records.insert(id.into(), record)),
                None => tracing::error!(id, "a service token in the store cannot be read"),
            }
        }
        Ok(records)
    }

    /// The record with this id, and its bytes.
    pub(super) async fn read(&self, id: &str) -> Result<Option<(Bytes, Record)>, StoreError> {
        let bytes = self.store.get(&key(id)).await?;
        Ok(bytes.and_then(|bytes| Some((bytes.clone(), Record::read(id, &bytes)?))))
    }

    /// When tokens were last used, by the names of the members.
    pub(super) async fn read_uses(&self) -> Result<HashMap<String, Timestamp>, StoreError> {
        let uses = self.store.members(USES).await?;
        let read = |(member, bytes): (String, Bytes)| {
            let seconds = std::str::from_utf8(&bytes).ok()?.parse().ok()?;
            Some((member, Timestamp::from_unix_seconds(seconds)))
        };
        Ok(uses.into_iter().filter_map(read).collect())
    }

    /// Deletes once more what was deleted here, where another process gave it back to a store that
    /// had forgotten everything.
    async fn drop_ghosts(
        &self,
        records: &mut BTreeMap<Box<str>, Record>,
    ) -> Result<(), StoreError> {
        let ghosts: Vec<Box<str>> = {
            let state = self.state();
            let is_ghost = |record: &&Record| {
                let revoked = state.revoked.get(&record.fingerprint());
                revoked.is_some_and(|revoked| revoked.reason == Reason::Deleted)
                    || state.deleted.contains(&record.id)
            };
            records.values().filter(is_ghost).map(|record| record.id.clone()).collect()
        };
        let mut any = false;
        for id in &ghosts {
            records.remove(id);
            any |= self.delete(id).await?;
        }
        if any { self.store.notify(CHANNEL).await } else { Ok(()) }
    }

    /// Deletes a record; whether there was one.
    pub(super) async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let was_there = self.store.take(&key(id)).await?.is_some();
        self.store.take_member(INDEX, id).await?;
        Ok(was_there)
    }

    /// Gives a store that forgot everything, or what was last, back what is known here.
    async fn restore(&self) -> Result<(), StoreError> {
        let (records, revoked) = {
            let state = self.state();
            let records: Vec<Record> = state.records.values().cloned().collect();
            (records, state.revoked.clone())
        };
        for (fingerprint, revoked) in revoked.iter() {
            self.write_one_revoked(fingerprint, revoked).await?;
        }
        for record in &records {
            self.store.put_member(INDEX, &record.id, Bytes::new(), FOR_GOOD).await?;
            self.give_back(record).await?;
        }
        let is_nothing = records.is_empty() && revoked.iter().next().is_none();
        if is_nothing { Ok(()) } else { self.store.notify(CHANNEL).await }
    }

    /// Writes a record unless there is one that was changed as often, or more often.
    async fn give_back(&self, record: &Record) -> Result<(), StoreError> {
        let bytes = record.write().map_err(StoreError::new)?;
        for _ in 0..MOST_ATTEMPTS {
            let done = match self.read(&record.id).await? {
                None => self.store.insert(&key(&record.id), bytes.clone(), FOR_GOOD).await?,
                Some((_, present)) if present.version >= record.version => true,
                Some((present, _)) => {
                    self.store.replace(&key(&record.id), &present, bytes.clone(), FOR_GOOD).await?
                }
            };
            if done {
                break;
            }
        }
        Ok(())
    }
}

impl State {
    /// Revokes a secret, here.
    pub(super) fn revoke(&mut self, fingerprint: Fingerprint, revoked: RevokedSecret) {
        if self.revoked.add(fingerprint.clone(), revoked.clone()) {
            self.unwritten.insert(fingerprint, revoked);
        }
    }
}

/// Deletes every token that a store defines, and revokes its secrets.
pub(crate) async fn delete_all(store: &dyn Store, now: Timestamp) -> Result<usize, StoreError> {
    let ids = store.members(INDEX).await?;
    for (id, _) in &ids {
        if let Some(record) = store.get(&key(id)).await?.and_then(|it| Record::read(id, &it)) {
            let revoked = RevokedSecret::new(&record.client_id, now, Reason::Deleted);
            let bytes = revoked.write().map_err(StoreError::new)?;
            let fingerprint = record.fingerprint();
            store.put_member(REVOKED, fingerprint.as_str(), bytes, FOR_GOOD).await?;
        }
        store.take(&key(id)).await?;
        store.take_member(INDEX, id).await?;
    }
    store.notify(CHANNEL).await?;
    Ok(ids.len())
}

impl LiveServiceTokens {
    /// Sees to it that changes of other processes are heard of. Needs a Tokio runtime; without one
    /// the next request does it.
    pub(super) fn keep_up(self: &Arc<Self>) {
        let Some(kept) = &self.kept else { return };
        if kept.is_following.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if kept.is_following.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = Arc::clone(&kept.store);
        let me = Arc::downgrade(self);
        // A runtime may end before we do: then another one takes over.
        let following = Following(Weak::clone(&me));
        kept.companions.spawn(&runtime, async move {
            let _following = following;
            if let Some(tokens) = me.upgrade()
                && let Err(error) = tokens.reload(Change::Unknown).await
            {
                tracing::error!(%error, "service tokens of the store are not read yet");
            }
            follow(store, CHANNEL, me).await;
        });
        kept.companions.spawn(&runtime, watch(Arc::downgrade(self)));
    }

    /// Takes over a change that was made here, unless a later one is known already.
    pub(super) fn adopt(&self, kept: &Kept, record: Record, is_new: bool) {
        let mut state = kept.state();
        state.changes += 1;
        let known = state.records.get(&record.id).map(|known| known.version);
        if known.map_or(is_new, |version| version < record.version) {
            state.records.insert(record.id.clone(), record);
            self.rebuild(kept, &mut state);
        }
    }

    /// Takes over that a token was deleted here.
    pub(super) fn forget(&self, kept: &Kept, id: &str) {
        let mut state = kept.state();
        state.changes += 1;
        state.records.remove(id);
        state.deleted.push_back(id.into());
        if state.deleted.len() > MOST_REMEMBERED {
            state.deleted.pop_front();
        }
        self.rebuild(kept, &mut state);
    }

    /// Makes the table that requests read.
    pub(super) fn rebuild(&self, kept: &Kept, state: &mut State) {
        let revoked = &state.revoked;
        let is_good = |record: &&Record| revoked.get(&record.fingerprint()).is_none();
        let mut records: Vec<&Record> = state.records.values().filter(is_good).collect();
        // Of two with one name the one that was there first counts, on every machine.
        records.sort_by_key(|record| (record.created_at, &record.id));
        let usage = &mut state.usage;
        let known = records.into_iter().map(|record| KnownToken {
            token: record.token(),
            previous: record.previous.as_ref().map(|previous| {
                (previous.secret.clone(), Timestamp::from_unix_seconds(previous.until))
            }),
            is_kept: true,
            void_until: revoked.void_until(&record.client_id),
            usage: Arc::clone(usage.entry(record.id.clone()).or_default()),
        });
        let (table, left_out) = kept.in_file.without_revoked(revoked).beside(known);
        state.usage.retain(|id, _| state.records.contains_key(id));
        let left_out: BTreeSet<Box<str>> = left_out.into_iter().collect();
        for id in left_out.difference(&state.left_out) {
            let name = state.records.get(id).map(|record| &*record.name);
            tracing::error!(
                id,
                name,
                "a service token of the store is not in force: another has its id, name or client \
                 id, in the file or before it in the store; rename or delete one of the two"
            );
        }
        state.left_out = left_out;
        self.table.store(Arc::new(table));
        kept.changes.tell();
    }

    /// Puts in force what is known already.
    pub(super) fn take_over(&self) {
        if let Some(kept) = &self.kept {
            self.rebuild(kept, &mut kept.state());
        }
    }

    /// Writes down when a token was last used, beside the requests.
    pub(super) fn write_use(self: &Arc<Self>, known: &KnownToken, now: Timestamp) {
        let (Some(kept), Ok(runtime)) = (&self.kept, Handle::try_current()) else { return };
        let (store, member) = (Arc::clone(&kept.store), member(&known.token.client_id));
        runtime.spawn(async move {
            let seconds = Bytes::from(now.as_unix_seconds().to_string());
            if let Err(error) = store.put_member(USES, &member, seconds, USES_KEPT).await {
                tracing::warn!(%error, "the use of a service token was not written down");
            }
        });
    }

    /// Warns of tokens that end within a week: once a day over all processes, as far as the store
    /// can tell. Returns their names.
    async fn warn_of_ends(&self, now: Timestamp) -> Vec<Box<str>> {
        let Some(kept) = &self.kept else { return Vec::new() };
        let due: Vec<Arc<KnownToken>> = {
            let table = self.table.load();
            let ends = |known: &&Arc<KnownToken>| {
                let token = &known.token;
                token.enabled && token.expires_at.is_some_and(|end| ends_soon(end, now))
            };
            table.all().filter(ends).cloned().collect()
        };
        let mut warned = Vec::new();
        for known in due.iter().filter(|known| known.usage.is_first_warning(now)) {
            let token = &known.token;
            let key = format!("service-token-warned/{}-{}", member(&token.client_id), day(now));
            let said = kept.store.insert(&key, Bytes::new(), WARNINGS_KEPT).await;
            if matches!(said, Ok(false)) {
                continue;
            }
            let left = token.expires_at.map_or(0, |end| end.since(now).as_secs() / 3_600);
            let kind = EventKind::ServiceTokenExpiring { id: token.token_id(), hours_left: left };
            audit::record(&Event::new(kind).service_token(&token.name));
            warned.push(token.name.clone());
        }
        warned
    }
}

impl Follow for LiveServiceTokens {
    fn reload(&self, change: Change) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(kept) = &self.kept else { return Ok(()) };
            if change == Change::Forgotten {
                kept.restore().await?;
            }
            kept.write_revoked().await?;
            let revoked = kept.read_revoked().await?;
            {
                let mut state = kept.state();
                for (fingerprint, revoked) in revoked {
                    state.revoked.add(fingerprint, revoked);
                }
            }
            for _ in 0..MOST_ATTEMPTS {
                let before = kept.state().changes;
                let mut records = kept.read_all().await?;
                kept.drop_ghosts(&mut records).await?;
                let mut state = kept.state();
                // What was changed here meanwhile may not have been read.
                if state.changes != before {
                    continue;
                }
                state.records = records;
                self.rebuild(kept, &mut state);
                return Ok(());
            }
            Err(StoreError::new("service tokens change faster than they can be read"))
        })
    }
}

/// Says that nobody follows any more, however a task ends.
struct Following(Weak<LiveServiceTokens>);

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(tokens) = self.0.upgrade()
            && let Some(kept) = &tokens.kept
        {
            kept.is_following.store(false, Ordering::Release);
        }
    }
}

/// Looks for tokens that end soon, as long as somebody holds them.
async fn watch(tokens: Weak<LiveServiceTokens>) {
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let Some(tokens) = tokens.upgrade() else { return };
        let Some(kept) = &tokens.kept else { return };
        let now = kept.clock.now();
        tokens.warn_of_ends(now).await;
        if kept.is_listing.load(Ordering::Relaxed)
            && let Err(error) = tokens.record_listing(Sharing::Shared).await
        {
            tracing::warn!(%error, "what the file lists is not recorded: tried again in a minute");
        }
    }
}

pub(super) fn key(id: &str) -> String {
    format!("service-token/{id}")
}

/// What a token's uses are kept under: client ids of a file may have any form.
pub(super) fn member(client_id: &str) -> String {
    to_hex(&sha256(client_id.as_bytes()))
}

pub(super) const INDEX: &str = "service-tokens/all";
pub(super) const CHANNEL: &str = "service-tokens";
const USES: &str = "service-token-uses/all";
/// A hundred years: tokens stay until they are deleted.
pub(super) const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 86_400);
const USES_KEPT: Duration = Duration::from_secs(400 * 86_400);
const WARNINGS_KEPT: Duration = Duration::from_secs(2 * 86_400);
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);
pub(super) const MOST_ATTEMPTS: usize = 8;
const MOST_REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::random::SystemRandom;
    use crate::secret::SecretHash;
    use crate::service_token::{ServiceToken, ServiceTokenAdmin};
    use crate::store::MemoryStore;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn process(clock: &Arc<ManualClock>, store: &Arc<dyn Store>) -> Arc<LiveServiceTokens> {
        let nightly = ServiceToken::new("nightly", "n.access", SecretHash::of("n"));
        let in_file = ServiceTokens::new([nightly.expires_at(NOW.plus(5 * DAY))]).unwrap();
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let changes = Arc::default();
        LiveServiceTokens::followed(in_file, true, store, (&clock, &random, &changes), None)
    }

    fn world() -> (Arc<ManualClock>, Arc<dyn Store>) {
        let clock = Arc::new(ManualClock::starting_at(NOW));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 1_000));
        (clock, store)
    }

    #[tokio::test]
    async fn an_end_is_warned_of_a_week_ahead_once_a_day_over_all_processes() {
        let (clock, store) = world();
        let (one, two) = (process(&clock, &store), process(&clock, &store));
        let admin = ServiceTokenAdmin::new(&one);
        admin.create("deploy", 8 * DAY).await.unwrap();
        admin.create("forever", None).await.unwrap();
        let (off, _) = admin.create("off", 2 * DAY).await.unwrap();
        admin.disable(&off.id).await.unwrap();
        two.reload(Change::Unknown).await.unwrap();
        let mut warned = one.warn_of_ends(NOW).await;
        assert_eq!(warned, [Box::from("nightly")]);
        assert!(two.warn_of_ends(NOW).await.is_empty());
        let next = NOW.plus(DAY);
        assert!(one.warn_of_ends(NOW.plus(DAY / 24)).await.is_empty());
        warned = two.warn_of_ends(next).await;
        warned.sort();
        assert_eq!(warned, ["deploy", "nightly"].map(Box::from));
        assert!(one.warn_of_ends(next).await.is_empty());
        assert_eq!(one.warn_of_ends(NOW.plus(6 * DAY)).await, [Box::from("deploy")]);
        assert!(one.warn_of_ends(NOW.plus(8 * DAY)).await.is_empty());
    }

    #[tokio::test]
    async fn a_store_that_forgot_everything_gets_back_what_was_not_deleted() {
        let (clock, store) = world();
        let (one, two) = (process(&clock, &store), process(&clock, &store));
        let admin = ServiceTokenAdmin::new(&one);
        let (stays, _) = admin.create("stays", None).await.unwrap();
        let (goes, _) = admin.create("goes", None).await.unwrap();
        two.reload(Change::Unknown).await.unwrap();
        // Here `goes` is deleted, the other process has not heard of it, and the store forgets.
        admin.delete(&goes.id).await.unwrap();
        let record = |name: &str| {
            let names = super::super::record::Names {
                id: goes.id.clone(),
                name: name.into(),
                client_id: goes.client_id.clone(),
            };
            Record::new(names, SecretHash::of("x"), None.into(), NOW)
        };
        two.kept.as_ref().unwrap().state().records.insert(goes.id.clone(), record("goes"));
        one.kept.as_ref().unwrap().delete(&stays.id).await.unwrap();
        two.reload(Change::Forgotten).await.unwrap();
        assert!(two.known(&stays.client_id).is_some());
        // Whoever deleted it sees to it that it stays so.
        one.reload(Change::Forgotten).await.unwrap();
        two.reload(Change::Notified).await.unwrap();
        for process in [&one, &two] {
            assert!(process.known(&stays.client_id).is_some());
            assert!(process.known(&goes.client_id).is_none());
        }
    }

    #[tokio::test]
    async fn ses_16_a_record_that_cannot_be_read_opens_nothing_and_hides_nothing() {
        let (clock, store) = world();
        let one = process(&clock, &store);
        let admin = ServiceTokenAdmin::new(&one);
        let (fine, _) = admin.create("fine", None).await.unwrap();
        let (odd, _) = admin.create("odd", None).await.unwrap();
        store.put(&key(&odd.id), Bytes::from_static(b"{}"), DAY).await.unwrap();
        // Under another id than its own.
        let copied = store.get(&key(&fine.id)).await.unwrap().unwrap();
        store.put(&key("copy"), copied, DAY).await.unwrap();
        store.put_member(INDEX, "copy", Bytes::new(), DAY).await.unwrap();
        one.reload(Change::Notified).await.unwrap();
        assert!(one.known(&fine.client_id).is_some() && one.known(&odd.client_id).is_none());
        assert_eq!(one.table().all().count(), 2);
    }

    #[test]
    fn without_a_runtime_the_first_one_that_comes_reads_the_store() {
        let (clock, store) = world();
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let one = process(&clock, &store);
        let kept = one.kept.as_ref().unwrap();
        assert!(!kept.is_following.load(Ordering::SeqCst));
        // Each runtime that ends is followed by another.
        for _ in 0..2 {
            let runtime = runtime();
            runtime.block_on(async {
                one.keep_up();
                assert!(kept.is_following.load(Ordering::SeqCst));
                tokio::task::yield_now().await;
            });
            drop(runtime);
            assert!(!kept.is_following.load(Ordering::SeqCst));
        }
    }
}
