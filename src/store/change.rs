//! Changes to a store, and their outcomes.

use std::time::Duration;

use bytes::Bytes;

use super::StoreError;

/// One atomic change of a store.
///
/// Keys, names of sets, members and values are as [`Store`](super::Store) says. Further kinds of
/// changes may come: a store returns an error for unknown ones.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreChange {
    /// Writes a value with a new lifetime, replacing an earlier one:
    /// [`Written`](StoreOutcome::Written).
    Write {
        /// The key.
        key: String,
        /// The new value.
        value: Bytes,
        /// The lifetime.
        lifetime: Duration,
        /// The condition. If it is not met, nothing changes.
        condition: WriteCondition,
    },
    /// Removes a value: [`Taken`](StoreOutcome::Taken).
    Take {
        /// The key.
        key: String,
    },
    /// Adds to a counter: [`Sum`](StoreOutcome::Sum). The first count starts the lifetime; later
    /// ones do not prolong it. Adding 0 reads a counter and starts none.
    Count {
        /// The key.
        key: String,
        /// The number to add. The sum saturates.
        add: u64,
        /// The lifetime of a counter that this change starts.
        lifetime: Duration,
    },
    /// Writes a member of a set, replacing an earlier one of this name:
    /// [`Written`](StoreOutcome::Written). Each member has its own lifetime.
    PutMember {
        /// The set.
        set: String,
        /// The name of the member.
        member: String,
        /// The new value.
        value: Bytes,
        /// The lifetime.
        lifetime: Duration,
    },
    /// Removes a member of a set: [`Taken`](StoreOutcome::Taken).
    TakeMember {
        /// The set.
        set: String,
        /// The name of the member.
        member: String,
    },
}

/// The condition under which a value is written.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WriteCondition {
    /// No condition.
    Always,
    /// The key is absent.
    Absent,
    /// The key has exactly this value.
    Equals(Bytes),
}

/// The outcome of a [`StoreChange`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreOutcome {
    /// Whether the value was written: `false` when the condition was not met.
    Written(bool),
    /// The value that was removed, if there was one: of several callers one gets it.
    Taken(Option<Bytes>),
    /// The counter's sum.
    Sum(u64),
}

impl WriteCondition {
    pub(super) fn is_met_by(&self, present: Option<&Bytes>) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => present.is_none(),
            Self::Equals(value) => present == Some(value),
        }
    }
}

impl StoreOutcome {
    pub(super) fn into_written(self) -> Result<bool, StoreError> {
        match self {
            Self::Written(is_written) => Ok(is_written),
            Self::Taken(_) | Self::Sum(_) => Err(mismatch()),
        }
    }

    pub(super) fn into_taken(self) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Taken(value) => Ok(value),
            Self::Written(_) | Self::Sum(_) => Err(mismatch()),
        }
    }

    pub(super) fn into_sum(self) -> Result<u64, StoreError> {
        match self {
            Self::Sum(sum) => Ok(sum),
            Self::Written(_) | Self::Taken(_) => Err(mismatch()),
        }
    }
}

fn mismatch() -> StoreError {
    StoreError::new("the outcome does not match the change; correct `Store::apply` of this store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_another_change_is_an_error() {
        let outcomes =
            || [StoreOutcome::Written(true), StoreOutcome::Taken(None), StoreOutcome::Sum(1)];
        let written = outcomes().map(|outcome| outcome.into_written().is_ok());
        let taken = outcomes().map(|outcome| outcome.into_taken().is_ok());
        let sum = outcomes().map(|outcome| outcome.into_sum().is_ok());
        assert_eq!(written, [true, false, false]);
        assert_eq!(taken, [false, true, false]);
        assert_eq!(sum, [false, false, true]);
    }

    #[test]
    fn conditions_are_met_by_the_value_they_name() {
        let (one, two) = (Bytes::from_static(b"1"), Bytes::from_static(b"2"));
        for (condition, by_none, by_one, by_two) in [
            (WriteCondition::Always, true, true, true),
            (WriteCondition::Absent, true, false, false),
            (WriteCondition::Equals(one.clone()), false, true, false),
        ] {
            assert_eq!(condition.is_met_by(None), by_none, "{condition:?}");
            assert_eq!(condition.is_met_by(Some(&one)), by_one, "{condition:?}");
            assert_eq!(condition.is_met_by(Some(&two)), by_two, "{condition:?}");
        }
    }
}
