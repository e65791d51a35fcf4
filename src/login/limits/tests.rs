//! Limits under floods and through days, by a manual clock.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use super::mails::{MailPlan, MailRequest};
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::login::method::one_time_pin::pressure::{GuessBudget, chance};
use crate::login::method::one_time_pin::{OneTimePin, OneTimePinLimits};
use crate::secret::MasterSecret;
use crate::store::MemoryStore;

struct World {
    clock: Arc<ManualClock>,
    store: MemoryStore,
    key: hmac::Key,
    limits: OneTimePinLimits,
}

fn world() -> World {
    world_with(100_000)
}

fn world_with(records: usize) -> World {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_790_000_000)));
    let store = MemoryStore::new(Arc::clone(&clock), records);
    let key = MasterSecret::from_bytes([1; 32]).derive("test");
    World { clock, store, key, limits: OneTimePinLimits::new() }
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// A network of its own for each number.
fn network(number: u32) -> Option<IpAddr> {
    Some(IpAddr::from(number.wrapping_mul(2_654_435_761).to_be_bytes()))
}

impl World {
    fn counters(&self) -> Counters<'_> {
        Counters { store: &self.store, key: &self.key, now: self.clock.now() }
    }

    async fn ask(&self, network: Option<IpAddr>, email: &str) -> MailPlan {
        self.ask_as(MailRequest { email, device: None, network, is_known_network: false }).await
    }

    async fn ask_as(&self, mail_request: MailRequest<'_>) -> MailPlan {
        self.counters().plan_mail(mail_request, &self.limits).await.unwrap()
    }

    async fn count(&self, key: &str) -> u64 {
        self.store.count(key, 0, MINUTE).await.unwrap()
    }

    async fn is_known(&self, email: &str, network: Option<IpAddr>) -> bool {
        self.counters().is_known_network(email, network, &self.limits).await.unwrap()
    }

    /// A guess at a code of this length as the login takes it; whether it is looked at.
    async fn guess(&self, budget: GuessBudget, digits: u32) -> bool {
        let counters = self.counters();
        budget.required(counters.used_guess_budget().await.unwrap()) <= digits
            && budget.allows(digits, counters.count_guess(digits).await.unwrap().used)
    }
}

/// OTP-22, OTP-11
#[tokio::test]
async fn otp_22_mail_to_one_address_is_bounded_from_anywhere() {
    let world = world();
    // Six hours, a request each three seconds, each from another network.
    let (mut mails, mut by_hour) = (0_u32, Vec::new());
    world.clock.set(Timestamp::from_unix_seconds(1_790_000_000 / 3_600 * 3_600));
    for second in (0..6 * 3_600).step_by(3) {
        if second % 3_600 == 0 {
            by_hour.push(mails);
        }
        if world.ask(network(second), "a@b.example").await == MailPlan::Own {
            mails += 1;
        } else {
            let window = world.clock.now().as_unix_seconds() / 300;
            let counters = world.counters();
            let name = format!("a@b.example\n{window}");
            mails += u32::from(counters.count_shared_mail(&name, &world.limits).await.unwrap());
        }
        world.clock.advance(Duration::from_secs(3));
    }
    by_hour.push(mails);
    let most = by_hour.windows(2).map(|hour| hour[1] - hour[0]).max().unwrap();
    assert!((20..=22).contains(&most), "ten, and one in five minutes: {by_hour:?}");
}

/// OTP-22, OTP-03
#[tokio::test]
async fn otp_22_what_strangers_ask_uses_up_nothing_of_a_browser_or_network_of_the_person() {
    let world = world();
    for n in 0..200 {
        world.ask(network(n), "a@b.example").await;
    }
    assert_eq!(world.ask(ip("10.0.9.1"), "a@b.example").await, MailPlan::Shared);
    let here = MailRequest {
        email: "a@b.example",
        device: None,
        network: ip("10.0.9.1"),
        is_known_network: true,
    };
    for _ in 0..5 {
        assert_eq!(world.ask_as(here).await, MailPlan::OwnLong);
    }
    assert_eq!(world.ask_as(here).await, MailPlan::Shared, "no door that closes");
    let browser = MailRequest { device: Some("device"), is_known_network: false, ..here };
    for _ in 0..5 {
        assert_eq!(world.ask_as(browser).await, MailPlan::Own);
    }
    assert_eq!(world.ask_as(browser).await, MailPlan::Shared);
}

/// OTP-22: what the page tells, which is how long the code is, is the same for both.
#[tokio::test]
async fn otp_22_no_answer_tells_a_network_of_the_person_from_another() {
    let (ours, theirs) = (world(), world());
    for n in 0..40 {
        // Of several networks, in turns.
        let network = network(n % 7);
        let known =
            MailRequest { email: "a@b.example", device: None, network, is_known_network: true };
        let other = MailRequest { is_known_network: false, ..known };
        assert_eq!(ours.ask_as(known).await.is_long(), theirs.ask_as(other).await.is_long(), "{n}");
    }
}

/// OTP-02
#[tokio::test]
async fn otp_02_one_browser_is_told_to_wait_and_nobody_else() {
    let world = world();
    let ask = async |browser: &str| {
        let asked = ("a@b.example", browser);
        world.counters().count_browser_request(asked, &world.limits).await.unwrap()
    };
    for _ in 0..5 {
        assert!(ask("one").await.is_ok());
    }
    let refused = ask("one").await.unwrap_err();
    assert!(refused.retry_after <= 15 * MINUTE);
    assert!(ask("two").await.is_ok());
    for _ in 0..20 {
        world.clock.advance(15 * MINUTE);
        let _ = ask("one").await;
    }
    assert!(ask("one").await.is_err(), "twenty a day");
}

/// OTP-22: a flood that fills chosen counters closes the login to nobody.
#[tokio::test]
async fn otp_22_no_flood_of_browsers_makes_another_browser_wait() {
    let world = world();
    let ask = async |browser: &str| {
        let asked = ("a@b.example", browser);
        world.counters().count_browser_request(asked, &world.limits).await.unwrap()
    };
    for n in 0..3_000 {
        let browser = format!("flood{n}");
        for _ in 0..16 {
            let _ = ask(&browser).await;
        }
        assert!(ask(&browser).await.is_err(), "{n}");
    }
    for n in 0..2_000 {
        assert!(ask(&format!("person{n}")).await.is_ok(), "{n}");
    }
    // Nor one that leaves no room for more counters.
    for (kind, window) in [("mail-by-browser", 15 * MINUTE), ("mail-by-browser-and-day", DAY)] {
        let left = world.counters().left(window);
        world.store.count(&format!("records/{kind}"), MAX_RECORDS, left).await.unwrap();
    }
    for _ in 0..50 {
        assert!(ask("late").await.is_ok());
    }
}

/// OTP-23, IP-08
#[tokio::test]
async fn ip_08_one_network_is_bounded_over_all_addresses_and_closed_to_none() {
    let world = world();
    let mut own = 0;
    for n in 0..100 {
        let network = ip(&format!("2001:db8:0:1::{n}"));
        let plan = world.ask(network, &format!("{n}@b.example")).await;
        own += u32::from(plan == MailPlan::Own);
    }
    assert_eq!(own, 30);
    assert_eq!(world.ask(ip("2001:db8:0:2::1"), "x@b.example").await, MailPlan::Own);
}

/// DOS-03
#[tokio::test]
async fn dos_03_counting_never_runs_out_of_room() {
    let world = world_with(70_000);
    for n in 0..70_000_u32 {
        world.ask(network(n), &format!("{n}@b.example")).await;
    }
}

/// DOS-03
#[tokio::test]
async fn dos_03_a_flood_from_many_networks_takes_no_address_for_a_nuisance() {
    let world = world();
    // Everybody else, as the counters see it: every bucket is full many times over.
    for kind in ["mail-by-network", "mail-by-address", "mail-by-address-and-network"] {
        world.store.count(&format!("{kind}/all"), 15 * BUCKETS, MINUTE).await.unwrap();
    }
    let counters = world.counters();
    let limit = Limit::new("mail-by-address", "a@b.example", 0, MINUTE);
    world.store.count(&counters.bucket(&limit), 15, MINUTE).await.unwrap();
    let mut own = 0;
    for n in 0..100 {
        own += u32::from(world.ask(network(n), "a@b.example").await == MailPlan::Own);
    }
    assert_eq!(own, 25, "ten, and what the average allows");
}

/// DOS-03
#[tokio::test]
async fn dos_03_what_is_refused_raises_no_limit() {
    let world = world();
    for n in 0..5_000 {
        world.ask(ip("10.0.0.1"), &format!("{n}@b.example")).await;
    }
    assert_eq!(world.count("mail-by-network/all").await, 30);
    assert_eq!(world.count("mail-by-address/all").await, 30);
}

/// DOS-03
#[tokio::test]
async fn dos_03_records_that_strangers_cause_are_bounded() {
    let world = world();
    let counters = world.counters();
    let left = counters.left(30 * MINUTE);
    world.store.count("records/pin-resent", MAX_RECORDS - 1, left).await.unwrap();
    assert!(counters.may_record("pin-resent").await.unwrap());
    assert!(!counters.may_record("pin-resent").await.unwrap());
    // Attempts are counted nevertheless.
    world.store.count("records/pin-attempt", MAX_RECORDS, left).await.unwrap();
    for attempt in 1..=3 {
        assert_eq!(counters.count_attempt("code", 30 * MINUTE).await.unwrap(), attempt);
    }
    assert_eq!(counters.count_attempt("another", 30 * MINUTE).await.unwrap(), 1);
    assert_eq!(world.count("pin-attempt/code").await, 0);
}

/// OTP-22
#[tokio::test]
async fn otp_22_networks_are_known_for_a_while_by_their_address_and_only_so_many() {
    let world = world();
    let remember = async |email: &str, network| {
        world.counters().remember_network(email, network, &world.limits).await.unwrap();
    };
    remember("a@b.example", ip("192.0.2.1")).await;
    remember("a@b.example", ip("2001:db8:1:2:3::4")).await;
    remember("a@b.example", None).await;
    for (address, is_known) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.2", false),
        ("2001:db8:1:2:9::9", true),
        ("2001:db8:1:3::4", false),
    ] {
        assert_eq!(world.is_known("a@b.example", ip(address)).await, is_known, "{address}");
        assert!(!world.is_known("c@b.example", ip(address)).await, "{address}");
    }
    assert!(!world.is_known("a@b.example", None).await, "who knows whose that is");
    for n in 0..15 {
        remember("a@b.example", network(n)).await;
    }
    assert!(world.is_known("a@b.example", ip("2001:db8:1:2::")).await, "the sixteenth");
    assert!(!world.is_known("a@b.example", ip("192.0.2.1")).await, "the seventeenth");
    world.clock.advance(89 * DAY);
    assert!(world.is_known("a@b.example", network(0)).await);
    world.clock.advance(DAY);
    assert!(!world.is_known("a@b.example", network(0)).await);
}

/// OTP-23: longer codes for it, and for nobody else.
#[tokio::test]
async fn otp_23_a_network_that_guesses_gets_longer_codes() {
    let world = world();
    let more =
        async |network| world.counters().digits_for_network(network, &world.limits).await.unwrap();
    for wrong in 0..200 {
        assert_eq!(
            more(ip("192.0.2.1")).await,
            [0, 2, 4][usize::from(wrong > 10) + usize::from(wrong > 100)]
        );
        world.counters().count_wrong_code(ip("192.0.2.1")).await.unwrap();
    }
    assert_eq!(more(ip("192.0.2.2")).await, 2, "the wide network");
    assert_eq!(more(ip("192.0.3.1")).await, 0);
    world.clock.advance(10 * MINUTE);
    assert_eq!(more(ip("192.0.2.1")).await, 0);
}

/// OTP-21: a browser of the person has guesses of its own.
#[tokio::test]
async fn otp_21_a_browser_that_has_logged_in_before_has_guesses_of_its_own() {
    let world = world();
    let is_trusted =
        async |device: &str| world.counters().trusts_browser(device, &world.limits).await.unwrap();
    for _ in 0..10 {
        assert!(is_trusted("one").await);
        world.counters().count_wrong_code_of_browser("one").await.unwrap();
    }
    assert!(!is_trusted("one").await);
    assert!(is_trusted("two").await);
    world.clock.advance(HOUR);
    assert!(is_trusted("one").await);
}

/// What is looked at, as (second, chance of it).
struct Looked(Vec<(u64, u64)>);

impl Looked {
    /// The most that any 24 hours come to.
    fn most_in_a_day(&self) -> u64 {
        let (mut most, mut sum, mut first) = (0, 0, 0);
        for (at, chance) in &self.0 {
            sum += chance;
            while self.0[first].0 + DAY.as_secs() <= *at {
                sum -= self.0[first].1;
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }
}

/// The best strategy at each moment: the shortest code that is looked at. Logins with codes of all
/// lengths are ready.
async fn attack(world: &World, budget: GuessBudget, times: impl Iterator<Item = u64>) -> Looked {
    let start = world.clock.now();
    let mut looked = Looked(Vec::new());
    for time in times {
        world.clock.set(start.plus(Duration::from_secs(time)));
        for digits in 6..=16 {
            if world.guess(budget, digits).await {
                looked.0.push((time, chance(digits)));
                break;
            }
        }
    }
    looked
}

/// OTP-02, OTP-21: one in a thousand for each day, whatever the plan.
#[tokio::test]
async fn otp_02_no_plan_finds_a_code_with_more_than_one_chance_in_a_thousand_a_day() {
    let stated = chance(0) / 1_000;
    let budget = OneTimePin::new().guess_budget();
    let half_a_day = 12 * 3_600;
    let plans: Vec<(&str, Vec<u64>)> = vec![
        ("all at once", vec![0; 15_000]),
        ("one each minute for five days", (0..7_200).map(|n| n * 60).collect()),
        ("500 a day, as many as six digits take", (0..3_000).map(|n| n * 173).collect()),
        (
            "at the borders of windows",
            (1..8)
                .flat_map(|n| {
                    vec![n * half_a_day - 1; 800].into_iter().chain(vec![n * half_a_day; 800])
                })
                .collect(),
        ),
        (
            "a burst each day, and each seven hours",
            (0..16).flat_map(|n| vec![n * 7 * 3_600; 700]).collect(),
        ),
        (
            "quiet until the first guesses are forgotten",
            vec![0; 3_000]
                .into_iter()
                .chain(vec![DAY.as_secs(); 3_000])
                .chain(vec![36 * 3_600; 3_000])
                .collect(),
        ),
    ];
    for (plan, times) in plans {
        for phase in [0, 6 * 3_600, half_a_day - 1] {
            let world = world();
            let midnight = 1_790_000_000 / DAY.as_secs() * DAY.as_secs();
            world.clock.set(Timestamp::from_unix_seconds(midnight + phase));
            let looked = attack(&world, budget, times.iter().copied()).await;
            assert_eq!(looked.0.len(), times.len(), "there is always a length that is looked at");
            let most = looked.most_in_a_day();
            assert!(most < stated, "{plan}: {most}");
            assert!(most >= 499 * chance(6), "{plan}: not the best strategy: {most}");
        }
    }
}

/// OTP-01: as many as there are, all together.
#[tokio::test]
async fn otp_02_guesses_at_the_same_moment_are_counted_before_they_are_looked_at() {
    let world = world();
    let budget = OneTimePin::new().guess_budget();
    let mut looked = 0_u64;
    // All have asked whether they may before the first is counted.
    assert_eq!(budget.required(world.counters().used_guess_budget().await.unwrap()), 6);
    for _ in 0..5_000 {
        let guess = world.counters().count_guess(6).await.unwrap();
        looked += u64::from(budget.allows(6, guess.used));
    }
    assert_eq!(looked, 500);
}

/// OTP-21: people who type the right code use up nothing.
#[tokio::test]
async fn otp_21_right_codes_are_no_guesses() {
    let world = world();
    for _ in 0..2_000 {
        let guess = world.counters().count_guess(6).await.unwrap();
        world.counters().refund_guess(guess).await.unwrap();
        world.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(world.counters().used_guess_budget().await.unwrap(), 0);
}
