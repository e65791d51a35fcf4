//! What an entry takes in memory.
//!
//! The bound covers the worst case of the table: the vectors and hash tables of its shards double, so
//! that up to half of a shard may be unused, and places remember the hashes of evicted entries.

/// Returns what an allocator takes for a request of this size: it rounds up and adds a few bytes.
pub(crate) const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => (bytes + 8).next_multiple_of(16),
    }
}

/// Returns how many bytes entries may weigh within a bound: the rest is for remembered hashes.
pub(super) const fn capacity(bytes: usize) -> u64 {
    // As many as half of the typical number of entries.
    (bytes - bytes / TYPICAL_ENTRY_BYTES / 2 * PLACE_BYTES) as u64
}

/// The place of an entry: 32 bytes in a vector and 5 in a hash table, with the space that doubling
/// leaves unused.
pub(super) const PLACE_BYTES: usize = 2 * 32 + 12;
/// For sizing tables; the bound is in bytes.
pub(super) const TYPICAL_ENTRY_BYTES: usize = 512;
