//! What stores promise, asked of every store there is: in memory, in a file, in a real Redis
//! server. And what each of them promises beside that.

mod crash;
mod file;
mod flood;
pub(crate) mod folder;
#[cfg(target_os = "linux")]
mod full_disk;
mod outage;
mod promises;
pub(crate) mod server;
mod settings;
mod world;

/// The same tests for one store after the other.
macro_rules! promises {
    ($($test:ident)*) => {
        promises!(@of memory, crate::stores::world::memory, $($test)*);
        promises!(@of redb, crate::stores::world::redb, $($test)*);
        promises!(@of redis, crate::stores::world::redis, $($test)*);
    };
    (@of $store:ident, $world:path, $($test:ident)*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    crate::stores::promises::$test(&$world(crate::stores::promises::BOUND).await).await;
                }
            )*
        }
    };
}

promises! {
    a_value_is_there_until_its_end
    a_value_put_again_has_a_new_end
    otp_04_of_many_who_take_one_gets_it
    of_many_who_insert_one_does
    what_has_ended_makes_room_for_another
    ses_16_of_many_who_replace_one_does
    ses_16_nothing_is_lost_where_all_replace_what_they_read
    ses_16_what_is_gone_or_changed_is_not_replaced
    otp_01_no_count_is_lost
    otp_01_a_counter_keeps_its_first_end
    counting_nothing_reads_and_starts_nothing
    a_counter_may_be_as_large_as_it_likes
    members_have_ends_of_their_own
    a_member_put_again_is_another
    of_many_who_take_a_member_one_gets_it
    sets_and_values_do_not_mix
    dos_03_a_full_set_refuses_until_something_ends
    who_listens_hears_of_what_was_before
    who_listens_hears_of_what_comes
    channels_do_not_mix
    values_are_any_bytes_up_to_16_kib
    keys_are_any_visible_ascii
    kinds_do_not_mix
    who_gives_up_waiting_breaks_nothing
}
