//! Operations that need more than one command. Each touches only its one key.

use std::sync::LazyLock;

use aws_lc_rs::digest;

use crate::random::to_hex;

/// A Lua script, and the hash the server knows it by.
pub(super) struct Script {
    text: &'static str,
    hash: LazyLock<String, fn() -> String>,
}

impl Script {
    pub(super) fn text(&self) -> &str {
        self.text
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $text:expr) => {
        $(#[$doc])*
        pub(super) static $name: Script = Script {
            text: $text,
            hash: LazyLock::new(|| sha1($text)),
        };
    };
}

/// Returns the protocol's name for a script; it is not security relevant.
fn sha1(text: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    to_hex(hash.as_ref())
}

script! {
    /// `present`, `value`, `lifetime`.
    REPLACE, "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"}

script! {
    /// `add`, `lifetime`. The sum is read as text: numbers in scripts are exact only up to 2^53.
    COUNT, "
redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
"}

script! {
    /// `first`, for a channel that has no number yet.
    NOTIFY, "
redis.call('SET', KEYS[1], ARGV[1], 'NX')
redis.call('INCR', KEYS[1])
return 1
"}

/// A set is one hash: from the member's name to its expiry, a colon, and the value. Expired members
/// are invisible and removed by later calls; the key expires with its last member.
///
/// The field named by a line feed, which no name contains, holds a time before which no member
/// expires: a full set without expired members is not scanned.
macro_rules! with_set {
    ($script:literal) => {
        concat!(
            "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function parts(entry)
  local colon = string.find(entry, ':', 1, true)
  return tonumber(string.sub(entry, 1, colon - 1)), string.sub(entry, colon + 1)
end
",
            $script
        )
    };
}

script! {
    /// `member`, `value`, `lifetime`, `most`. 0 where the set is full.
    PUT_MEMBER, with_set!("
local ends = now + ARGV[3]
local first = tonumber(redis.call('HGET', KEYS[1], '\\n') or nil)
local size = redis.call('HLEN', KEYS[1])
if first then size = size - 1 end
if size >= tonumber(ARGV[4]) and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  if first and now < first then return 0 end
  local all = redis.call('HGETALL', KEYS[1])
  first = nil
  for i = 1, #all, 2 do
    if all[i] ~= '\\n' then
      local end_of_it = parts(all[i + 1])
      if end_of_it <= now then
        redis.call('HDEL', KEYS[1], all[i])
        size = size - 1
      elseif not first or end_of_it < first then
        first = end_of_it
      end
    end
  end
  if first then
    redis.call('HSET', KEYS[1], '\\n', string.format('%.0f', first))
  else
    redis.call('HDEL', KEYS[1], '\\n')
  end
  if size >= tonumber(ARGV[4]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ends) .. ':' .. ARGV[2])
if first and ends < first then
  redis.call('HSET', KEYS[1], '\\n', string.format('%.0f', ends))
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
")}

script! {
    /// `member`.
    TAKE_MEMBER, with_set!("
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return nil end
redis.call('HDEL', KEYS[1], ARGV[1])
local end_of_it, value = parts(entry)
if end_of_it <= now then return nil end
return value
")}

script! {
    /// Names and values in turn.
    MEMBERS, with_set!("
local all = redis.call('HGETALL', KEYS[1])
local found = {}
for i = 1, #all, 2 do
  if all[i] ~= '\\n' then
    local end_of_it, value = parts(all[i + 1])
    if end_of_it > now then
      found[#found + 1] = all[i]
      found[#found + 1] = value
    else
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
return found
")}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_by_their_hash() {
        assert_eq!(sha1("return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(REPLACE.hash().len(), 40);
    }
}
